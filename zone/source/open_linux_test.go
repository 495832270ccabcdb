package source

import (
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestReadingAFileLeavesTheTimeOfItsLastAccess, which the kernel notes else where it was a day ago.
func TestReadingAFileLeavesTheTimeOfItsLastAccess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "zone.toml")
	if err := os.WriteFile(path, []byte("name"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := time.Now().Add(-48 * time.Hour).Truncate(time.Second)
	if err := os.Chtimes(path, before, before); err != nil {
		t.Fatal(err)
	}
	if _, text, err := readFile(path); string(text) != "name" || err != nil {
		t.Fatal(string(text), err)
	}
	var is unix.Stat_t
	if err := unix.Stat(path, &is); err != nil || is.Atim.Nano() != before.UnixNano() {
		t.Errorf("last access %s, want %s: %v", time.Unix(0, is.Atim.Nano()), before, err)
	}
}

// TestAFileOfAnotherUserIsRead, though its times are not ours to keep.
func TestAFileOfAnotherUserIsRead(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be another user")
	}
	path := filepath.Join(t.TempDir(), "zone.toml")
	for _, folder := range []string{filepath.Dir(filepath.Dir(path)), filepath.Dir(path)} {
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, []byte("name"), 0o644); err != nil {
		t.Fatal(err)
	}
	defer strange.Store(strange.Load())
	strange.Store(false)
	var asNobody sync.WaitGroup
	asNobody.Go(func() {
		runtime.LockOSThread() // which ends with this function
		const nobody = 65534
		unix.Setfsuid(nobody)
		if is, err := unix.SetfsuidRetUid(-1); is != nobody {
			t.Log("this root may not be another user:", err)
			return
		}
		for range 2 {
			if _, text, err := readFile(path); string(text) != "name" || err != nil || !strange.Load() {
				t.Errorf("read %q: %v; strange: %v", text, err, strange.Load())
			}
		}
	})
	asNobody.Wait()
}
