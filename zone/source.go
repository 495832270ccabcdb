package zone

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"mxtrap/zone/conf"
)

// maxRecords is how many records a zone may have: while it is loaded, each takes up to a thousand octets of memory.
const maxRecords = 1 << 20

// Source is a zone as the operator's files have it: every value is right by itself, and [Source.Compile] judges the whole.
type Source struct {
	Path string // of the zone file

	Arena   Arena // of the names and data
	Apex    Name
	Ttl     uint32
	Records []Record
	Soa     soaTable
	Trap    *Table
	table   *conf.Table
	master  string        // the master file, "" where there is none
	Partial bool          // some of the records could not be read
	catalog *catalogTable // nil where the zone is no catalog
	member  bool          // made from such a template
	primary *Primary      // nil where the records are in files here
	serial  *uint32       // of a catalog that is made here, which has no file; else nil
	files   Files
	text    []byte // of the zone file
}

// Load reads a zone file and all that it names. It returns nil, and has reported why, where the zone cannot be had.
func Load(path string, report *conf.Report) *Source {
	n, text, err := readFile(path)
	if err != nil {
		report.Add(conf.Problem{File: path, Reason: conf.Plain(err).Error()})
		return nil
	}
	s := parse(path, text, Files{zone: n}, "", report)
	if s != nil {
		s.text = text
	}
	return s
}

// Again is Load for what was loaded before, whatever stands in the file now.
func Again(path string, text []byte, files Files, report *conf.Report) *Source {
	s := parse(path, text, files, "", report)
	if s != nil {
		s.text = text
	}
	return s
}

// Text is that of the zone file, or of the template.
func (s *Source) Text() []byte { return s.text }

// Parse is Load for a text that is no file.
func Parse(path string, text []byte, report *conf.Report) *Source {
	return parse(path, text, Files{}, "", report)
}

// parse reads a zone file; that of a catalog's member is a template without a name.
func parse(path string, text []byte, files Files, member string, report *conf.Report) *Source {
	before := report.Faults()
	t := conf.Parse(path, text, report)
	if t == nil {
		return nil
	}
	s := &Source{Path: path, Ttl: 3600, table: t, files: files}
	var origin, master string
	if t.String("name", &origin); member != "" {
		if origin != "" {
			t.Fault("name", origin, "a template has no name: it gets those of the catalog's members")
			return nil
		}
		origin = member
	}
	apex, err := parseName(origin, Root)
	if origin == "" {
		report.Add(t.Problem("name", "", `missing: say which zone this is, such as name = "example.com"`))
		return nil
	} else if err != nil {
		t.Fault("name", origin, err.Error())
		return nil
	}
	s.Apex = apex
	t.Seconds("ttl", &s.Ttl)
	t.String("file", &master)
	if t.Has("primary") || t.Has("catalog") {
		if t.Has("primary") {
			s.readPrimary(t.Table("primary"))
		}
		if t.Has("catalog") {
			s.readCatalog(t.Table("catalog"))
		}
		return s.readTrap(before, report)
	}
	s.Soa = s.readSOA(t.Table("soa"), apex)
	s.Soa.given = t.Has("soa")
	if master != "" {
		if !filepath.IsAbs(master) {
			master = filepath.Join(filepath.Dir(path), master)
		}
		s.readMaster(master, report)
	}
	s.readRecords(t.Table("records"))
	return s.readTrap(before, report)
}

// readTrap reads the rest of the file. It returns nil where there were faults before it or in it.
func (s *Source) readTrap(before int, report *conf.Report) *Source {
	if s.table.Has("trap") {
		s.Trap = Read(s.table.Table("trap"), s.Apex)
	}
	s.table.Close()
	if report.Faults() > before && (s.primary != nil || s.catalog != nil) {
		return nil
	} else if report.Faults() > before {
		// What is left is judged all the same, so that one run tells every fault, but for what may be among the lost.
		s.Partial = true
		s.Compile(nil, report)
		return nil
	}
	return s
}

// recordRooms are memory for the records of sources that were released.
var recordRooms = sync.Pool{New: func() any { return new([]Record) }}

// Release ends the use of a source: what was compiled of it stands by itself. No problem of it may be kept, for that may be in its words.
func (s *Source) Release() {
	if s.catalog != nil || s.primary != nil || len(s.Records) > MaxKept {
		return
	}
	s.table.Release()
	clear(s.Records)
	room := s.Records[:0]
	recordRooms.Put(&room)
	s.Records = nil
	s.Arena.Release()
	if !s.member { // a template is others' too
		releaseText(s.text)
	}
	s.text = nil
}

// Name is the zone's name, without its final dot.
func (s *Source) Name() string { return TrimDot(s.Apex.String()) }

// readRecords reads the table of owners and their records.
func (s *Source) readRecords(t *conf.Table) {
	keys := t.Keys()
	if s.Records == nil {
		s.Records = *recordRooms.Get().(*[]Record)
	}
	s.Records = slices.Grow(s.Records, 2*len(keys))
	for _, key := range keys {
		owner, err := s.Arena.ParseName(key, s.Apex)
		switch {
		case err != nil:
			t.Fault(key, "", "the owner is "+err.Error())
		case t.IsTable(key):
			t.Table(key)
			t.Fault(key, "", "an owner with a dot must be quoted: "+Quoted(t, key)+` = ["TYPE data"]`)
			continue
		case !owner.Within(s.Apex):
			t.Fault(key, "", outside(s.Apex))
		}
		items := t.Strings(key)
		for i := range items {
			item := &items[i]
			r, err := ParseRecord(item.Text, owner, s.Apex, s.Ttl, &s.Arena)
			if err != nil {
				item.Fault(err.Error())
				continue
			}
			if len(s.Records) == maxRecords {
				item.Fault(fmt.Sprintf("a zone has %d records at most", maxRecords))
				return
			}
			if owner != "" && owner.Within(s.Apex) {
				r.Item = item
				s.Records = append(s.Records, r)
			}
		}
	}
}

// quoted writes the owner that the operator meant by the nested tables of an unquoted one.
func Quoted(t *conf.Table, key string) string {
	owner := key
	for t = t.Table(key); len(t.Keys()) == 1; {
		next := t.Keys()[0]
		owner += "." + next
		if !t.IsTable(next) {
			break
		}
		t = t.Table(next)
	}
	return `"` + owner + `"`
}
