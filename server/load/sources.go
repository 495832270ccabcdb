package load

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mxtrap/server/pace"
	"mxtrap/zone/conf"
	"mxtrap/zone/source"
)

// Sources are where zones come from, as a server file says it.
type Sources struct {
	path    string      // of the server file; "": the embedded example is the one zone
	zones   []conf.Item // files and patterns
	produce string      // the catalog of all zones that is made; "" for none
}

// SourcesOf reads zones of the table [server] of a server file, and the table [catalog].
func SourcesOf(path string, server, catalog *conf.Table) Sources {
	s := Sources{path: path, zones: []conf.Item{server.Item("zones", "zones/*.toml")}}
	if server.Has("zones") {
		if s.zones = server.Strings("zones"); len(s.zones) == 0 {
			server.Fault("zones", "", "lists no zone file")
		}
	}
	catalog.String("produce", &s.produce)
	catalog.Close()
	return s
}

// found is a zone file that there is now.
type found struct {
	path   string
	before *File // what was there at the last load; nil where nothing was
}

// files finds the zone files, each once.
func (s *Sources) files(before *Files, report *conf.Report) []found {
	all := make([]found, 0, before.Len())
	for _, item := range s.zones {
		pattern := item.Text
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(filepath.Dir(s.path), pattern)
		}
		many := len(all)
		var err error
		if all, err = glob(all, pattern, before); err == nil && len(all) == many {
			err = errors.New("matches no file")
		}
		if err != nil {
			report.Add(item.Problem(err.Error()))
		}
	}
	if len(s.zones) == 1 {
		return all
	}
	rest := pace.Rests()
	slices.SortFunc(all, func(a, b found) int {
		rest()
		return strings.Compare(a.path, b.path)
	})
	return slices.CompactFunc(all, func(a, b found) bool { return a.path == b.path })
}

// glob appends the files of a pattern, in any order. Where that is the name alone, as in zones/*.toml, there may be very many.
func glob(all []found, pattern string, before *Files) ([]found, error) {
	folder, name := filepath.Split(pattern)
	if strings.ContainsAny(folder, `*?[\`) || !strings.ContainsAny(name, "*?[") {
		paths, err := filepath.Glob(pattern)
		for _, path := range paths {
			if base := filepath.Base(path); base[0] == '.' && name[:min(1, len(name))] != "." {
				continue
			}
			all = append(all, found{path, before.Get(path)})
		}
		return all, err
	}
	matches, err := matcher(name)
	if err != nil {
		return all, err
	}
	dir, err := os.Open(cmp.Or(folder, "."))
	if err != nil {
		return all, err
	}
	defer dir.Close()
	path := []byte(folder)
	var names []string
	for {
		names, err = someNames(dir, names, before == nil)
		if err != nil || len(names) == 0 {
			return all, err
		}
		for _, n := range names {
			if matches(n) && (n[0] != '.' || name[0] == '.') { // as in the shell: editors keep such files
				path = append(path[:len(folder)], n...)
				all = append(all, before.find(path))
			}
		}
		if before != nil {
			pace.Yield()
		}
	}
}

// matcher says of names whether they match a pattern, which is *.toml as a rule.
func matcher(pattern string) (matches func(name string) bool, err error) {
	if before, after, ok := strings.Cut(pattern, "*"); ok && !strings.ContainsAny(before+after, `*?[\`) {
		return func(name string) bool {
			return len(name) >= len(before)+len(after) && strings.HasPrefix(name, before) && strings.HasSuffix(name, after)
		}, nil
	}
	_, err = filepath.Match(pattern, "")
	return func(name string) bool { ok, _ := filepath.Match(pattern, name); return ok }, err
}

// mostCompleted is in how many files zones are looked for that a shell is to complete.
const mostCompleted = 10_000

// Names are those of zones in files that begin with a text.
func (s *Sources) Names(begin string) (names []string) {
	var report conf.Report
	files := s.files(nil, &report)
	for _, f := range files[:min(mostCompleted, len(files))] {
		for _, name := range source.NamesIn(f.path) {
			if strings.HasPrefix(name, begin) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
