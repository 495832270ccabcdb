package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mxtrap/zone/conf"
)

func TestWhatIsNoFileIsNotRead(t *testing.T) {
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "folder"), 0o755)
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"folder": "not a regular file", "pipe": "not a regular file", "nothing": "no such file or directory"} {
		var report conf.Report
		if s := Load(filepath.Join(dir, name), &report); s != nil || report.Faults() != 1 || !strings.HasSuffix(report.Problems()[0].String(), want) {
			t.Errorf("%s: %v", name, report.Problems())
		}
	}
}

// TestAFileOfEqualSizeAndTimeIsSeen: as rsync, git and links leave it.
func TestAFileOfEqualSizeAndTimeIsSeen(t *testing.T) {
	age := racyAge
	racyAge = 20 * time.Millisecond
	defer func() { racyAge = age }()
	for name, replace := range map[string]func(path string, text []byte){
		"another file in its place": func(path string, text []byte) {
			os.WriteFile(path+".new", text, 0o644)
			info, _ := os.Stat(path)
			os.Chtimes(path+".new", info.ModTime(), info.ModTime())
			os.Rename(path+".new", path)
		},
		"written in place": func(path string, text []byte) {
			info, _ := os.Stat(path)
			os.WriteFile(path, text, 0o644)
			os.Chtimes(path, info.ModTime(), info.ModTime())
		},
		"a link that is switched": func(path string, text []byte) {
			info, _ := os.Stat(path)
			os.WriteFile(path+".other", text, 0o644)
			os.Chtimes(path+".other", info.ModTime(), info.ModTime())
			os.Remove(path)
			os.Symlink(path+".other", path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "z.toml")
			old := time.Now().Add(-time.Hour)
			os.WriteFile(path, []byte("name = \"a.test\" # 1"), 0o644)
			os.Chtimes(path, old, old)
			time.Sleep(2 * racyAge) // or else the file is so fresh that it is read again anyway
			n, _, err := readFile(path)
			if err != nil || n.racy {
				t.Fatal(n, err)
			}
			if _, _, ok := (Files{zone: n}).Renewed(path); !ok {
				t.Error("the same file is taken for another one")
			}
			replace(path, []byte("name = \"a.test\" # 2"))
			if _, _, ok := (Files{zone: n}).Renewed(path); ok {
				t.Error("the old content is served")
			}
		})
	}
}
