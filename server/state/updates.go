package state

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/dname"
	"mxtrap/zone/rdata"
	"mxtrap/zone/rr"
	"mxtrap/zone/source"
)

// Updates are the RRsets that dynamic updates have made, a file for each zone: what stands there takes the place of what the zone's files say.
type Updates struct {
	state  string
	folder string // within that; "": there is none

	mu    sync.Mutex
	there map[string]bool // names of files; nil: not known yet
	zones map[string][]source.RRset
}

// NewUpdates are those in a folder of state; "" is none.
func NewUpdates(state string) *Updates {
	u := &Updates{state: state, zones: map[string][]source.RRset{}}
	if state != "" {
		u.folder = filepath.Join(state, "updates")
	}
	return u
}

// In says whether these are the updates in a folder of state.
func (u *Updates) In(state string) bool { return u != nil && u.state == state }

// Kept says whether there is a folder to keep updates in.
func (u *Updates) Kept() bool { return u != nil && u.folder != "" }

// File is where the updates of a zone are.
func (u *Updates) File(zone string) string { return fileOf(u.folder, zone, ".updates") }

// Of are the updates of a zone. The error says why they cannot be known.
func (u *Updates) Of(zone string) ([]source.RRset, error) {
	if !u.Kept() {
		return nil, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.list(); err != nil {
		return nil, err
	}
	if len(u.there) == 0 { // as nearly always
		return nil, nil
	}
	file := u.File(zone)
	if !u.there[filepath.Base(file)] {
		return nil, nil
	}
	if sets, known := u.zones[zone]; known {
		return sets, nil
	}
	sets, err := readUpdates(file, zone)
	if err == nil {
		u.zones[zone] = sets
	}
	return sets, err
}

// Again has the files read again that there are: the operator may have changed them.
func (u *Updates) Again() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.there = nil
	clear(u.zones)
}

// list finds the files that there are, where that is not known.
func (u *Updates) list() error {
	if u.there != nil {
		return nil
	}
	entries, err := os.ReadDir(u.folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return conf.Plain(err)
	}
	u.there = map[string]bool{}
	for _, e := range entries {
		u.there[e.Name()] = true
	}
	return nil
}

// Write keeps the updates of a zone, in the place of those before. They outlive a crash once it returns.
func (u *Updates) Write(zone string, sets []source.RRset) error {
	if !u.Kept() {
		return errNoState
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.list(); err != nil {
		return err
	}
	file := u.File(zone)
	err := os.MkdirAll(u.folder, 0o700)
	if err == nil {
		err = syncFolder(u.state) // where that folder may be new
	}
	switch {
	case err != nil:
	case len(sets) > 0:
		err = replace(file, func(w *bufio.Writer) { writeUpdates(w, sets) })
	default:
		if err = os.Remove(file); err == nil || errors.Is(err, fs.ErrNotExist) {
			err = syncFolder(u.folder)
		}
	}
	if err != nil {
		return err
	}
	if u.there[filepath.Base(file)] = true; len(sets) == 0 {
		delete(u.there, filepath.Base(file))
	}
	u.zones[zone] = sets
	return nil
}

// updatesHead is what a file begins with.
const updatesHead = "; mxtrap updates 1: RRsets that take the place of those of the zone's files; one that is gone has the class ANY\n"

func writeUpdates(w *bufio.Writer, sets []source.RRset) {
	w.WriteString(updatesHead)
	for _, set := range sets {
		if len(set.Records) == 0 {
			fmt.Fprintf(w, "%s\t0\tANY\t%s\n", set.Owner, rdata.TypeText(set.Type))
		}
		for _, r := range set.Records {
			fmt.Fprintln(w, r)
		}
	}
}

func readUpdates(file, name string) ([]source.RRset, error) {
	text, err := source.ReadText(file)
	if err != nil {
		return nil, conf.Plain(err)
	}
	apex, err := zone.WireName(name)
	if err != nil {
		return nil, err
	}
	return parseUpdates(string(text), apex)
}

// parseUpdates reads a file's text. A file that is wrong anywhere is not used at all: half of it would be another content.
func parseUpdates(text, apex string) (sets []source.RRset, err error) {
	if !strings.HasPrefix(text, updatesHead) {
		return nil, errors.New("it is not a file of updates, or one of another version")
	}
	number := 0
	for line := range strings.Lines(text) {
		number++
		if line = strings.TrimSuffix(line, "\n"); line == "" || line[0] == ';' {
			continue
		}
		set, err := parseUpdate(line)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", number, err)
		case !zone.Within(string(set.Owner), apex):
			return nil, fmt.Errorf("line %d: %s is not of the zone", number, set.Owner)
		}
		if last := len(sets) - 1; last >= 0 && len(set.Records) > 0 && sets[last].Owner == set.Owner && sets[last].Type == set.Type {
			sets[last].Records = append(sets[last].Records, set.Records...)
			continue
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// parseUpdate reads a line: a record, or the name of an RRset that is gone.
func parseUpdate(line string) (set source.RRset, err error) {
	fields := strings.SplitN(line, "\t", 5)
	if len(fields) < 4 {
		return set, errors.New("a field is missing")
	}
	if set.Owner, err = dname.Parse(fields[0], dname.Root); err != nil {
		return set, err
	}
	ttl, err := strconv.ParseUint(fields[1], 10, 31)
	switch {
	case err != nil:
		return set, errors.New("the TTL is not a number")
	case fields[2] == "ANY" && len(fields) == 4:
		typ, ok := rdata.TypeOf(fields[3])
		if set.Type = typ; !ok {
			err = fmt.Errorf("%q is no record type", fields[3])
		}
		return set, err
	case fields[2] != "IN" || len(fields) < 5:
		return set, errors.New("neither a record nor the name of an RRset")
	}
	r, err := rr.ParseRecord(fields[3]+" "+fields[4], string(dname.Root), uint32(ttl))
	r.Owner = string(set.Owner)
	set.Type, set.Records = r.Type, []rr.Record{r}
	return set, err
}
