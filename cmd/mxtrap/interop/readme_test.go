//go:build interop

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestInteropReadme does what the README tells: it writes its files, types its commands, and wants the output that stands there.
func TestInteropReadme(t *testing.T) {
	text := readFile(t, "../../../README.md")
	dir := t.TempDir()
	output(t, "go", "build", "-o", filepath.Join(dir, "mxtrap"), "mxtrap/cmd/mxtrap")
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	commands, files := 0, 0
	for _, block := range regexp.MustCompile("(?ms)^```(\\S+)( \\S+)?\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		language, name, body := block[1], strings.TrimSpace(block[2]), block[3]
		switch {
		case language == "toml" && name != "":
			os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
			os.WriteFile(filepath.Join(dir, name), []byte(body), 0o644)
			files++
		case language == "console":
			for _, c := range strings.Split("\n"+body, "\n$ ")[1:] {
				command, want, _ := strings.Cut(strings.TrimSuffix(c, "\n")+"\n", "\n")
				commands++
				switch command {
				case "go run ./cmd/mxtrap serve":
					serveExample(t, want)
					continue
				case "go run ./cmd/mxtrap demo":
					playDemo(t, want)
					continue
				}
				shell := exec.Command("sh", "-c", command)
				shell.Dir = dir
				got, err := shell.CombinedOutput()
				if err != nil || string(got) != want {
					t.Errorf("$ %s\ngot:\n%s\n%v\nwant:\n%s", command, got, err, want)
				}
			}
		}
	}
	if commands < 6 || files < 2 {
		t.Errorf("only %d commands and %d files found in the README", commands, files)
	}
}

// playDemo runs the demonstration, which tells more than the README shows, and by another clock.
func playDemo(t *testing.T, want string) {
	t.Helper()
	timeless := func(text string) string { return regexp.MustCompile(`(?m)^\+\d:\d\d`).ReplaceAllString(text, "") }
	told := timeless(output(t, "mxtrap", "demo", "--fast"))
	for _, part := range strings.Split(timeless(want), "...\n") {
		_, rest, ok := strings.Cut(told, part)
		if !ok {
			t.Fatalf("the demonstration does not tell\n%s\nin what is left of it:\n%s", part, told)
		}
		told = rest
	}
}

// serveExample runs the example server for the commands behind it.
func serveExample(t *testing.T, want string) {
	t.Helper()
	timeless := regexp.MustCompile(`time=\S+`)
	p := background(t, "mxtrap", "serve")
	eventually(t, "the example says what the README shows", func() bool {
		return timeless.ReplaceAllString(p.out.String(), "") == timeless.ReplaceAllString(want, "")
	})
}
