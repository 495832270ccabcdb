package server

import (
	"bufio"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/miekg/dns"

	"mxtrap/zone"
)

// copies is the folder of what must outlive the process: for each zone that comes from a primary its copy as a master file, and a
// note on the version that was served of it. The note's time is when the primary was last heard of it.
type copies string

// file is the copy of a zone.
func (c copies) file(zone string) string {
	return filepath.Join(string(c), url.PathEscape(strings.ToLower(zone))+".zone")
}

// note is the note on a zone.
func (c copies) note(zone string) string { return c.file(zone) + ".served" }

// served is the version that was served last.
type served struct {
	serial uint32
	digest string // of its content
}

// served reads the note; it is the zero value where there is none.
func (c copies) served(zone string) (s served) {
	text, _ := os.ReadFile(c.note(zone))
	if n, _ := fmt.Sscan(string(text), &s.serial, &s.digest); n != 2 {
		return served{}
	}
	return s
}

// serve writes the note.
func (c copies) serve(zone string, s served) error {
	return replace(c.note(zone), func(w *bufio.Writer) { fmt.Fprintln(w, s.serial, s.digest) })
}

// confirmed is when the primary was last heard of the zone.
func (c copies) confirmed(zone string) time.Time {
	info, err := os.Stat(c.note(zone))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// confirm notes that the primary has been heard.
func (c copies) confirm(zone string, at time.Time) error {
	f, err := os.OpenFile(c.note(zone), os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	return os.Chtimes(c.note(zone), at, at)
}

// keep writes records beside the copy, and returns where.
func (c copies) keep(zone string, records []dns.RR) (file string, err error) {
	file = c.file(zone) + ".new"
	return file, replace(file, func(w *bufio.Writer) {
		for _, rr := range records {
			fmt.Fprintln(w, rr)
		}
	})
}

// commit makes what was kept the copy.
func (c copies) commit(zone string) error {
	if err := os.Rename(c.file(zone)+".new", c.file(zone)); err != nil {
		return err
	}
	return syncFolder(string(c))
}

// records reads the copy.
func (c copies) records(zone string) (records []dns.RR, err error) {
	f, err := os.Open(c.file(zone))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	parser := dns.NewZoneParser(f, dns.Fqdn(zone), c.file(zone))
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		records = append(records, rr)
	}
	return records, parser.Err()
}

// replace writes a file so that at any moment there is the old one or the whole new one.
func replace(file string, write func(*bufio.Writer)) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	w := bufio.NewWriter(f)
	write(w)
	err = w.Flush()
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(file))
	}
	return err
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// number gives a version of a zone its serial number: its own, or what grows from the one that was served last, for the trap changes too.
// Unless dry, what is new of that is noted; when the primary was heard stays. The zone is good even where it could not be noted.
func (c copies) number(source *zone.Source, z *zone.Zone, look zone.Lookups, dry bool) (*zone.Zone, error) {
	name := source.Name()
	last, now := c.served(name), served{z.Serial(), z.Digest()}
	switch {
	case last.digest == "":
	case last.digest == now.digest:
		now.serial = last.serial
	case !zone.Later(now.serial, last.serial):
		now.serial = last.serial + 1
	}
	if now.serial != z.Serial() {
		z = source.Number(now.serial, look)
	}
	if dry || last == now {
		return z, nil
	}
	at := c.confirmed(name)
	err := c.serve(name, now)
	if err == nil && !at.IsZero() {
		c.confirm(name, at)
	}
	return z, err
}
