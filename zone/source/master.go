package source

import (
	"fmt"
	"os"
	"path/filepath"

	"mxtrap/zone/conf"
	"mxtrap/zone/content"
	"mxtrap/zone/dname"
	"mxtrap/zone/rr"
)

// maxMasterFaults is after how many faults the reading of a master file gives up.
const maxMasterFaults = 20

// readMaster reads an RFC 1035 master file. $INCLUDE reaches nothing outside the file's folder, by links neither.
func (s *Zone) readMaster(file string, report *conf.Report) {
	root, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		report.Add(s.table.Problem("file", file, conf.Plain(err).Error()))
		return
	}
	defer root.Close()
	octets := 0
	open := func(rel string) (string, error) {
		n, text, err := readIn(root, rel)
		if octets += len(text); err == nil && octets > maxFile {
			err = fmt.Errorf("the zone's files have more than %d bytes together", maxFile)
		}
		if err == nil {
			s.files.add(filepath.Join(filepath.Dir(file), rel), n)
		}
		return string(text), err
	}
	base := filepath.Base(file)
	text, err := open(base)
	if err != nil {
		report.Add(s.table.Problem("file", file, err.Error()))
		return
	}
	s.master = file
	faults := 0
	reader := rr.Reader{
		Apex: string(s.apex), TTL: s.ttl, Open: open,
		Record: func(r rr.Record, at rr.Place) {
			one := content.Record{Owner: dname.Name(r.Owner), Typ: r.Type, Ttl: r.TTL, Data: r.Data, Place: at}
			if !one.Owner.Within(s.apex) {
				s.fault(report, &one, outside(s.apex))
				return
			}
			s.records = append(s.records, one)
		},
		Most: maxRecords,
		Fault: func(at rr.Place, text, reason string) bool {
			faults++
			report.Add(conf.Problem{File: filepath.Join(filepath.Dir(file), at.File), Line: at.Line, Text: text, Reason: reason})
			return faults == maxMasterFaults
		},
	}
	reader.Read(base, text)
}

// outside says that an owner is outside the zone.
func outside(apex dname.Name) string {
	return "the owner is outside the zone " + apex.Bare()
}

// OfMaster is a zone that stands in a master file alone. It is whole unless the report has faults; then none is compiled of it.
func OfMaster(file string, apex dname.Name, report *conf.Report) *Zone {
	before := report.Faults()
	s := Parse(file, []byte("name = "+tomlString(apex.Bare())+"\n"), &conf.Report{Quiet: true}) // has no NS record, which is judged later
	s.readMaster(file, report)
	s.partial = report.Faults() > before
	return s
}
