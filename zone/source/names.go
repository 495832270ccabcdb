package source

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"

	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
)

// Names are the zones that a file lists, all made from one template: a zone file without a name.
type Names struct {
	Path     string // of the file
	Template string // its path
	List     []string
}

// listedName is one of them, and what tells its faults.
type listedName struct {
	text  string
	fault func(reason string)
}

// maxNames is how many zones a file may list.
const maxNames = 1 << 20

// Names are the zones that the file lists; nil where it is that of one zone.
func (s *Zone) Names() *Names { return s.names }

// readNames reads a file that lists zones.
func readNames(path string, t *conf.Table, before int, report *conf.Report) *Zone {
	n := &Names{Path: path}
	beside := func(file string) string {
		if file == "" || filepath.IsAbs(file) {
			return file
		}
		return filepath.Join(filepath.Dir(path), file)
	}
	t.String("template", &n.Template)
	n.Template = beside(n.Template)
	var items []listedName
	if file := ""; t.IsString("names") {
		t.String("names", &file)
		text, err := ReadText(beside(file))
		if err != nil {
			t.Fault("names", file, conf.Plain(err).Error())
		}
		at := 0
		for line := range bytes.Lines(text) {
			at++
			number := at
			if name := strings.TrimSpace(string(line)); name != "" && name[0] != '#' {
				items = append(items, listedName{name, func(reason string) {
					report.Add(conf.Problem{File: beside(file), Line: number, Text: name, Reason: reason})
				}})
			}
		}
	} else {
		for _, item := range t.Strings("names") {
			items = append(items, listedName{item.Text, item.Fault})
		}
	}
	t.Close()
	if n.Template == "" {
		t.Fault("template", "", `name the zone file that the zones are made from: template = "mail.toml"`)
	}
	if len(items) == 0 && report.Faults() == before {
		t.Fault("names", "", `lists no zone: write names = ["example.com", "example.org"], or the path of a file with a name in each line`)
	}
	seen := map[string]bool{}
	for _, item := range items {
		apex, err := dname.Parse(item.text, dname.Root)
		switch {
		case err != nil:
			item.fault(err.Error())
		case seen[apex.Bare()]:
			item.fault("is listed twice")
		case len(n.List) == maxNames:
			item.fault(fmt.Sprintf("a file lists %d zones at most", maxNames))
			return nil
		default:
			seen[apex.Bare()] = true
			n.List = append(n.List, apex.Bare())
		}
	}
	if report.Faults() > before {
		return nil
	}
	return &Zone{Path: path, table: t, names: n}
}

// ReadTemplate reads a template, and notes what its file was. Nobody may change the text.
func ReadTemplate(path string) (text []byte, files Files, err error) {
	n, text, err := readFile(path)
	return text, Files{zone: n}, err
}

// ParseListed makes a zone that a file lists out of its template, which is in files.
func ParseListed(template string, text []byte, files Files, name string, report *conf.Report) *Zone {
	s := parse(template, text, files, name, report)
	if s != nil {
		s.member, s.listed, s.text = true, true, text
	}
	return s
}

// Listed says whether the zone was made from a template for a file that lists it.
func (s *Zone) Listed() bool { return s.listed }

// NamesIn are the zones that a file is for, as far as that can be told without judging them.
func NamesIn(path string) []string {
	text, err := ReadText(path)
	if err != nil {
		return nil
	}
	report := conf.Report{Quiet: true}
	if t := conf.Parse(path, text, &report); t != nil && t.Has("names") {
		if s := readNames(path, t, 0, &report); s != nil {
			return s.names.List
		}
		return nil
	}
	if name := strings.TrimSuffix(nameIn(path, text), "."); name != "" {
		return []string{name}
	}
	return nil
}
