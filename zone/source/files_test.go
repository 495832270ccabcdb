package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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
