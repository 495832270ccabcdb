package server

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"mxtrap/zone/conf"
)

// zoneFiles finds the zone files, each once.
func (c *Config) zoneFiles(report *conf.Report) (paths []string) {
	for _, item := range c.zones {
		pattern := item.Text
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(c.Path), pattern)
		}
		found, err := glob(pattern)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("matches no file")
		}
		if err != nil {
			report.Add(item.Problem(err.Error()))
		}
		paths = append(paths, found...)
	}
	if len(c.zones) == 1 {
		return paths
	}
	rest := rests()
	slices.SortFunc(paths, func(a, b string) int {
		rest()
		return strings.Compare(a, b)
	})
	return slices.Compact(paths)
}

// glob finds the files of a pattern, in any order. Where that is the name alone, as in zones/*.toml, there may be very many.
func glob(pattern string) (paths []string, err error) {
	folder, name := filepath.Split(pattern)
	if strings.ContainsAny(folder, `*?[\`) || !strings.ContainsAny(name, "*?[") {
		return filepath.Glob(pattern)
	}
	if _, err := filepath.Match(name, ""); err != nil {
		return nil, err
	}
	dir, err := os.Open(cmp.Or(folder, "."))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	// Package os would read so much at once that the processor answers no query for a tenth of a millisecond.
	fd, buf := int(dir.Fd()), make([]byte, 1<<10)
	var names []string
	for {
		n, err := unix.ReadDirent(fd, buf)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil || n == 0:
			return paths, err
		}
		for left := buf[:n]; len(left) > 0; {
			var used int
			used, _, names = unix.ParseDirent(left, -1, names)
			left = left[used:]
		}
		names = slices.DeleteFunc(names, func(n string) bool {
			ok, _ := filepath.Match(name, n)
			return !ok
		})
		paths = appendPaths(paths, folder, names)
		names = names[:0]
		yield()
	}
}

// appendPaths appends the paths of files in a folder, all in one piece of memory: there are very many for the garbage collector to look at.
func appendPaths(paths []string, folder string, names []string) []string {
	size := 0
	for _, n := range names {
		size += len(folder) + len(n)
	}
	var b strings.Builder
	b.Grow(size)
	for _, n := range names {
		b.WriteString(folder)
		b.WriteString(n)
	}
	all := b.String()
	for _, n := range names {
		end := len(folder) + len(n)
		paths, all = append(paths, all[:end]), all[end:]
	}
	return paths
}
