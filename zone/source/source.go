package source

import (
	"fmt"
	"hash/maphash"
	"math/bits"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
	"mxtrap/zone/content"
	"mxtrap/zone/dname"
	"mxtrap/zone/trap"
)

// maxRecords is how many records a zone may have: while it is loaded, each takes up to a thousand octets of memory.
const maxRecords = 1 << 20

// Zone is a zone as the operator's files have it: every value is right by itself, and [Zone.Compile] judges the whole.
type Zone struct {
	Path string // of the zone file

	arena   content.Arena // of the names and data
	apex    dname.Name
	ttl     uint32
	records []content.Record
	soa     soaTable
	trap    *trap.Table
	table   *conf.Table
	master  string        // the master file, "" where there is none
	partial bool          // some of the records could not be read
	catalog *catalogTable // nil where the zone is no catalog
	member  bool          // made from a template
	listed  bool          // for a file that lists the zone, and for no catalog
	names   *Names        // the zones of a file that lists some; else nil
	primary *Primary      // nil where the records are in files here
	access  *conf.Table   // who may transfer the zone and is notified, where the zone file says it; else nil
	dnssec  *bool         // whether the zone is signed; nil where the server file says it
	nsec3   bool
	signing *Signing  // nil: the zone is not signed
	at      time.Time // at which it is compiled
	serial  *uint32   // of a zone that is made here, which has no file; else nil
	empty   int       // how many names may be there only for others below them; 0: as many as a zone of a file may have
	files   Files
	updates []RRset // that stand in the place of those of the files
	text    []byte  // of the zone file
}

// Load reads a zone file and all that it names. It returns nil, and has reported why, where the zone cannot be had.
func Load(path string, report *conf.Report) *Zone {
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
func Again(path string, text []byte, files Files, report *conf.Report) *Zone {
	s := parse(path, text, files, "", report)
	if s != nil {
		s.text = text
	}
	return s
}

// Text is that of the zone file, or of the template.
func (s *Zone) Text() []byte { return s.text }

// Parse is Load for a text that is no file.
func Parse(path string, text []byte, report *conf.Report) *Zone {
	return parse(path, text, Files{}, "", report)
}

// parse reads a zone file; that of a catalog's member is a template without a name.
func parse(path string, text []byte, files Files, member string, report *conf.Report) *Zone {
	before := report.Faults()
	t := conf.Parse(path, text, report)
	if t == nil {
		return nil
	}
	if member == "" && (t.Has("template") || t.Has("names")) {
		return readNames(path, t, before, report)
	}
	s := zones.Get().(*Zone)
	s.Path, s.ttl, s.table, s.files = path, 3600, t, files
	var origin, master string
	if t.String("name", &origin); member != "" {
		if origin != "" {
			t.Fault("name", origin, "a template has no name: it gets those of the catalog's members")
			return nil
		}
		origin = member
	}
	apex, err := dname.Parse(origin, dname.Root)
	if origin == "" {
		report.Add(t.Problem("name", "", `missing: say which zone this is, such as name = "example.com"`))
		return nil
	} else if err != nil {
		t.Fault("name", origin, err.Error())
		return nil
	}
	s.apex = apex
	t.Seconds("ttl", &s.ttl)
	s.readDNSSEC(t)
	t.String("file", &master)
	if t.Has("transfer") {
		s.access = t.Table("transfer")
	}
	if t.Has("primary") || t.Has("catalog") {
		if t.Has("primary") {
			s.readPrimary(t.Table("primary"))
		}
		if t.Has("catalog") {
			s.readCatalog(t.Table("catalog"))
		}
		return s.readTrap(before, report)
	}
	s.soa = s.readSOA(t.Table("soa"), apex)
	s.soa.given = t.Has("soa")
	if master != "" {
		if !filepath.IsAbs(master) {
			master = filepath.Join(filepath.Dir(path), master)
		}
		s.readMaster(master, report)
	}
	s.readRecords(t.Table("records"))
	return s.readTrap(before, report)
}

// At has the zone compiled as it is at a time.
func (s *Zone) At(now time.Time) { s.at = now }

// readTrap reads the rest of the file. It returns nil where there were faults before it or in it.
func (s *Zone) readTrap(before int, report *conf.Report) *Zone {
	if s.table.Has("trap") {
		s.trap = trap.Read(s.table.Table("trap"), s.apex, &s.arena)
		s.readSecret()
	}
	s.table.Close()
	if report.Faults() > before && (s.primary != nil || s.catalog != nil) {
		return nil
	} else if report.Faults() > before {
		// What is left is judged all the same, so that one run tells every fault, but for what may be among the lost.
		s.partial = true
		s.Compile(nil, report)
		return nil
	}
	return s
}

// Whole says whether the zone can be made again of the text of its file alone, by [Again] or [ParseListed], and the secret of its trap.
func (s *Zone) Whole() bool {
	return s.master == "" && s.primary == nil && s.catalog == nil && (!s.member || s.listed)
}

// zones are memory of sources that were released.
var zones = sync.Pool{New: func() any { return new(Zone) }}

// Release ends the use of a source: what was compiled of it stands by itself. No problem of it may be kept, for that may be in its words.
func (s *Zone) Release() {
	if s.catalog != nil || s.primary != nil || len(s.records) > content.MaxKept {
		return
	}
	s.table.Release()
	s.trap.Release()
	s.arena.Release()
	if !s.member { // a template is others' too
		ReleaseText(s.text)
	}
	*s = Zone{records: s.records[:0]}
	zones.Put(s)
}

// Access is the table [transfer]: who may transfer the zone, and who is notified of its changes. It is nil where the server file says it.
func (s *Zone) Access() *conf.Table { return s.access }

// Apex is the zone's name in wire format.
func (s *Zone) Apex() dname.Name { return s.apex }

// Name is the zone's name, without its final dot.
func (s *Zone) Name() string { return s.apex.Bare() }

// readRecords reads the table of owners and their records.
func (s *Zone) readRecords(t *conf.Table) {
	keys := t.Keys()
	s.records = slices.Grow(s.records, 2*len(keys))
	for _, key := range keys {
		owner, err := s.arena.ParseName(key, s.apex)
		switch {
		case err != nil:
			t.Fault(key, "", "the owner is "+err.Error())
		case t.IsTable(key):
			t.Table(key)
			t.Fault(key, "", "an owner with a dot must be quoted: "+t.Quoted(key)+` = ["TYPE data"]`)
			continue
		case !owner.Within(s.apex):
			t.Fault(key, "", outside(s.apex))
		}
		items := t.Strings(key)
		for i := range items {
			item := &items[i]
			r, err := content.ParseRecord(item.Text, owner, s.apex, s.ttl, &s.arena)
			if err != nil {
				item.Fault(err.Error())
				continue
			}
			if len(s.records) == maxRecords {
				item.Fault(fmt.Sprintf("a zone has %d records at most", maxRecords))
				return
			}
			if owner != "" && owner.Within(s.apex) {
				r.Item = item
				s.records = append(s.records, r)
			}
		}
	}
}

// hashSeed is for hashes that are compared within this process alone.
var hashSeed = maphash.MakeSeed()

// Written tells what the operator or the primary wrote, without the serial number: equal ones are the same but for the trap.
func (s *Zone) Written() uint64 {
	var sum uint64
	add := func(v uint64) { sum = bits.RotateLeft64(sum, 7)*0x9e3779b97f4a7c15 + v }
	records := s.current()
	for i := range records {
		r := &records[i]
		if data := r.Data; r.Typ == dns.TypeSOA {
			add(maphash.Bytes(hashSeed, data[:len(data)-content.SoaNumbers]))
			add(maphash.Bytes(hashSeed, data[len(data)-content.SoaNumbers+4:]))
		} else {
			add(maphash.Bytes(hashSeed, data))
		}
		add(maphash.String(hashSeed, string(r.Owner)))
		add(uint64(r.Typ)<<32 | uint64(r.Ttl))
	}
	add(maphash.String(hashSeed, string(s.soa.mname)))
	add(maphash.String(hashSeed, string(s.soa.rname)))
	for _, v := range []*uint32{s.soa.refresh, s.soa.retry, s.soa.expire, s.soa.minimum} {
		if v != nil {
			add(uint64(*v) + 1)
		} else {
			add(0)
		}
	}
	return sum
}
