package zone

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
)

// Source is a zone as the operator's files have it: every value is right by itself, and [Source.Compile] judges the whole.
type Source struct {
	Path string // of the zone file

	apex    name
	ttl     uint32
	records []record
	soa     soaTable
	trap    *trapTable
	table   *conf.Table
	master  bool // records came from a master file too
	partial bool // some of the records could not be read
	files   []file
}

// record is one record and where it was written.
type record struct {
	rr    dns.RR
	owner name
	place conf.Problem // without a reason
}

// Load reads a zone file and all that it names. It returns nil, and has reported why, where the zone cannot be had.
func Load(path string, report *conf.Report) *Source {
	f, text, err := readFile(path)
	if err != nil {
		report.Add(conf.Problem{File: path, Reason: err.Error()})
		return nil
	}
	return parse(path, text, []file{f}, report)
}

// Parse is Load for a text that is no file.
func Parse(path string, text []byte, report *conf.Report) *Source {
	return parse(path, text, nil, report)
}

func parse(path string, text []byte, files []file, report *conf.Report) *Source {
	var faults conf.Report
	defer func() { report.Add(faults.Problems()...) }()
	t := conf.Parse(path, text, &faults)
	if t == nil {
		return nil
	}
	s := &Source{Path: path, ttl: 3600, table: t, files: files}
	var origin, master string
	t.String("name", &origin)
	apex, err := parseName(origin, ".")
	if origin == "" {
		faults.Add(t.Problem("name", "", `missing: say which zone this is, such as name = "example.com"`))
		return nil
	} else if err != nil {
		t.Fault("name", origin, err.Error())
		return nil
	}
	s.apex = apex
	t.Seconds("ttl", &s.ttl)
	t.String("file", &master)
	s.soa = readSOA(t.Table("soa"), apex)
	s.soa.given = t.Has("soa")
	if master != "" {
		if !filepath.IsAbs(master) {
			master = filepath.Join(filepath.Dir(path), master)
		}
		s.readMaster(master, &faults)
	}
	s.readRecords(t.Table("records"))
	if t.Has("trap") {
		s.trap = readTrap(t.Table("trap"), apex)
	}
	t.Close()
	if faults.Faulty() {
		// What is left is judged all the same, so that one run tells every fault, but for what may be among the lost.
		s.partial = true
		s.Compile(nil, &faults)
		return nil
	}
	return s
}

// Name is the zone's name, without its final dot.
func (s *Source) Name() string { return trimDot(s.apex.String()) }

// readRecords reads the table of owners and their records.
func (s *Source) readRecords(t *conf.Table) {
	origin := s.apex.String()
	for _, key := range t.Keys() {
		owner, err := parseName(key, origin)
		switch {
		case err != nil:
			t.Fault(key, "", "the owner is "+err.Error())
		case t.IsTable(key):
			t.Table(key)
			t.Fault(key, "", "an owner with a dot must be quoted: "+quoted(t, key)+` = ["TYPE data"]`)
			continue
		case !owner.within(s.apex):
			t.Fault(key, "", "the owner is outside the zone "+s.Name())
		}
		for _, item := range t.Strings(key) {
			rr, err := parseRecord(item.Text, origin, s.ttl)
			if err != nil {
				t.FaultAt(item.Key, item.Text, err.Error())
				continue
			}
			if owner != "" && owner.within(s.apex) {
				rr.Header().Name = owner.String()
				s.records = append(s.records, record{rr: rr, owner: owner, place: t.Problem(item.Key, item.Text, "")})
			}
		}
	}
}

// quoted writes the owner that the operator meant by the nested tables of an unquoted one.
func quoted(t *conf.Table, key string) string {
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

// parseRecord reads "[ttl] TYPE data" as a master file has it behind the owner.
func parseRecord(text, origin string, ttl uint32) (dns.RR, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("empty: write TYPE and data, such as MX 10 mail")
	}
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("a record is one line; long data may stand in several quoted strings")
	}
	parser := dns.NewZoneParser(strings.NewReader("@ "+text+"\n"), origin, "")
	parser.SetDefaultTTL(ttl)
	rr, ok := parser.Next()
	if err := parser.Err(); err != nil {
		_, reason := parseReason(err)
		return nil, errors.New(reason)
	}
	if !ok {
		return nil, errors.New("no record: write TYPE and data, such as MX 10 mail")
	}
	return rr, checkRecord(rr)
}

// checkRecord refuses what the DNS library reads but no zone can hold.
func checkRecord(rr dns.RR) error {
	h := rr.Header()
	switch t := h.Rrtype; {
	case h.Class != dns.ClassINET:
		return errors.New("only the class IN is served")
	case t == dns.TypeNone || t == dns.TypeOPT || 128 <= t && t <= 255:
		return fmt.Errorf("%s is a type for questions and packets, not for zones", dns.TypeToString[t])
	case h.Ttl > 1<<31-1:
		return errors.New("the TTL is above 2147483647 seconds (RFC 2181 8)")
	}
	if isEmpty(rr) {
		return errors.New("the data is missing")
	}
	if _, _, _, err := packRRset("\x00", []dns.RR{rr}); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "dns: "))
	}
	return nil
}

// isEmpty says whether a record is a type alone, as dynamic updates have it: the library reads that, with every field zero.
func isEmpty(rr dns.RR) bool {
	switch rr.(type) {
	case *dns.APL, *dns.NULL, *dns.RFC3597, *dns.EUI48, *dns.EUI64, *dns.NID, *dns.L64, *dns.UID, *dns.GID, *dns.CSYNC, *dns.LOC:
		return false // zero is data, or no data are needed
	}
	blankOf, ok := dns.TypeToRR[rr.Header().Rrtype]
	if !ok {
		return false
	}
	zero := blankOf()
	*zero.Header() = *rr.Header()
	return reflect.DeepEqual(rr, zero)
}

// file is a file that a zone was read from, as it was then.
type file struct {
	path     string
	size     int64
	modified time.Time
	racy     bool // it was so fresh that a later change may show neither in its size nor in its time
}

// racyAge is how old a file must be when it is read for its time to be trusted: coarser than any file system's clock.
const racyAge = 2 * time.Second

// maxFile bounds what is read into memory.
const maxFile = 1 << 30

// readFile reads a regular file and notes what it was.
func readFile(path string) (file, []byte, error) {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return file{}, nil, plain(err)
	}
	defer dir.Close()
	return readIn(dir, filepath.Base(path), path)
}

// readIn reads a file below a folder, to which its links are kept too.
func readIn(dir *os.Root, rel, path string) (file, []byte, error) {
	info, err := dir.Stat(rel)
	switch {
	case err != nil:
		return file{}, nil, plain(err)
	case !info.Mode().IsRegular():
		return file{}, nil, errors.New("not a regular file")
	case info.Size() > maxFile:
		return file{}, nil, fmt.Errorf("larger than %d bytes", maxFile)
	}
	text, err := dir.ReadFile(rel)
	if err != nil {
		return file{}, nil, plain(err)
	}
	now := time.Now()
	return file{path: path, size: info.Size(), modified: info.ModTime(), racy: now.Sub(info.ModTime()) < racyAge}, text, nil
}

// plain takes the operation and the path off an error that is told with its place.
func plain(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// Changed says whether a file of the zone may differ from what was read.
func (s *Source) Changed() bool {
	for _, f := range s.files {
		info, err := os.Stat(f.path)
		if err != nil || f.racy || info.Size() != f.size || !info.ModTime().Equal(f.modified) {
			return true
		}
	}
	return len(s.files) == 0
}

// modified is the time of the newest file, in seconds since 1970; 0 where there is none.
func (s *Source) modified() uint32 {
	var newest int64
	for _, f := range s.files {
		newest = max(newest, f.modified.Unix())
	}
	return uint32(newest)
}

// Forget frees what only Compile needs.
func (s *Source) Forget() {
	s.records, s.table, s.trap, s.soa = nil, nil, nil, soaTable{}
}
