package zone

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"mxtrap/zone/conf"
)

// maxMasterFaults is after how many faults the reading of a master file gives up.
const maxMasterFaults = 20

// readMaster reads an RFC 1035 master file. $INCLUDE reaches nothing outside the file's folder, by links neither.
func (s *Source) readMaster(file string, report *conf.Report) {
	root, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		report.Add(s.table.Problem("file", file, conf.Plain(err).Error()))
		return
	}
	defer root.Close()
	n, text, err := readIn(root, filepath.Base(file))
	if err != nil {
		report.Add(s.table.Problem("file", file, conf.Plain(err).Error()))
		return
	}
	s.master = file
	s.files.add(file, n)
	records := len(s.records)
	// The parser stops at its first error. So that one run finds them all, the line is blanked and the reading begun anew.
	for range maxMasterFaults {
		s.records = s.records[:records]
		line, err := s.parseMaster(root, file, text, report)
		if err == nil {
			return
		}
		report.Add(*err)
		if line == 0 || !blank(text, line) {
			return
		}
	}
}

// parseMaster adds the records of a master file. It ends at the first thing that is no record, and tells its line, 0 where that is in
// an included file.
func (s *Source) parseMaster(root *os.Root, file string, text []byte, report *conf.Report) (line int, syntax *conf.Problem) {
	base := filepath.Base(file)
	parser := dns.NewZoneParser(bytes.NewReader(text), s.apex.String(), base)
	parser.SetDefaultTTL(s.ttl)
	parser.SetIncludeAllowed(true)
	parser.SetIncludeFS(includes{root, filepath.Dir(file), s})
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		h := rr.Header()
		r, err := packRecord(rr, mustName(h.Name))
		switch {
		case err != nil:
			s.fault(report, &r, err.Error())
		case !r.owner.within(s.apex):
			s.fault(report, &r, "the owner is outside the zone "+s.Name())
		default:
			s.records = append(s.records, r)
		}
	}
	err := parser.Err()
	if err == nil {
		return 0, nil
	}
	line, why := parseReason(err)
	in := parsedFile(err)
	syntax = &conf.Problem{File: filepath.Join(filepath.Dir(file), in), Line: line, Reason: why}
	if in != base {
		line = 0
	}
	return line, syntax
}

// includes opens included files and notes them as files of the zone.
type includes struct {
	root *os.Root
	dir  string
	zone *Source
}

func (i includes) Open(name string) (fs.File, error) {
	n, text, err := readIn(i.root, path.Clean(name))
	if err != nil {
		return nil, err
	}
	i.zone.files.add(filepath.Join(i.dir, name), n)
	return &included{Reader: bytes.NewReader(text)}, nil
}

// included is a file that is in memory.
type included struct{ *bytes.Reader }

func (included) Close() error               { return nil }
func (included) Stat() (fs.FileInfo, error) { return nil, fs.ErrInvalid }

var _ io.Reader = included{}

// blank empties a line (counted from 1) in place. It refuses one with a parenthesis, which other lines may lean on.
func blank(text []byte, line int) bool {
	for ; line > 1; line-- {
		end := bytes.IndexByte(text, '\n')
		if end < 0 {
			return false
		}
		text = text[end+1:]
	}
	if end := bytes.IndexByte(text, '\n'); end >= 0 {
		text = text[:end]
	}
	if len(bytes.TrimSpace(text)) == 0 || bytes.ContainsAny(text, "()\"") {
		return false
	}
	for i := range text {
		text[i] = ' '
	}
	return true
}

// parserError takes the DNS library's errors apart, which hold these only as text.
var parserError = regexp.MustCompile(`^(?:(.*?): )?dns: (.*): ("(?:[^"\\]|\\.)*") at line: (\d+):\d+$`)

// parseReason says why the DNS library refused a text, and in which line.
func parseReason(err error) (line int, reason string) {
	m := parserError.FindStringSubmatch(err.Error())
	if m == nil {
		return 0, strings.TrimPrefix(err.Error(), "dns: ")
	}
	line, _ = strconv.Atoi(m[4])
	reason = m[2]
	switch {
	case strings.HasPrefix(reason, "expecting RR type"), strings.HasPrefix(reason, "unknown RR type"), reason == "not a TTL":
		reason = "neither a record type nor a TTL"
	case strings.HasPrefix(reason, "bad "):
		// "bad MX Pref" and the like: type and field.
		reason = "bad data: " + strings.TrimPrefix(reason, "bad ")
	}
	if m[3] == `""` || m[3] == `"\n"` {
		return line, reason + " at the end of the line"
	}
	return line, reason + " at " + m[3]
}

// parsedFile is the file that the DNS library's error names.
func parsedFile(err error) string {
	if m := parserError.FindStringSubmatch(err.Error()); m != nil {
		return m[1]
	}
	return ""
}
