package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestAPackageImportsOnlyWhatStandsBelowItInTheREADME holds the list of packages to be whole and true.
func TestAPackageImportsOnlyWhatStandsBelowItInTheREADME(t *testing.T) {
	const root = "../.."
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile("(?s)```\n(cmd/mxtrap .*?)```").FindSubmatch(text)
	if list == nil {
		t.Fatal("the README has no list of packages")
	}
	rows := map[string]int{}
	for row, line := range strings.Split(strings.TrimSpace(string(list[1])), "\n") {
		names, _, _ := strings.Cut(line, "   ")
		for _, name := range strings.Split(names, ", ") {
			rows[name] = row
		}
	}
	filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		name, _ := filepath.Rel(root, filepath.Dir(path))
		if name == "server/fake" || name == "cmd/mxtrap/interop" { // are for tests alone
			return nil
		}
		row, ok := rows[name]
		if !ok {
			t.Errorf("%s is not in the list", name)
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range file.Imports {
			if other, ok := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), "mxtrap/"); ok && rows[other] <= row {
				t.Errorf("%s imports %s, which does not stand below it", path, other)
			}
		}
		return nil
	})
}
