package state

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"mxtrap/zone"
	"mxtrap/zone/rdata"
	"mxtrap/zone/rr"
)

// Copies keeps the zones that come from primaries: in the folder of what must outlive the process, a file each, whose time is when the
// primary was last heard of it. What cannot be written there is kept in memory alone.
type Copies struct {
	Folder string // "": there is none

	mu   sync.Mutex
	held map[string]heldCopy // by zone
}

// heldCopy is a copy that is in memory.
type heldCopy struct {
	records   []rr.Record
	confirmed time.Time
}

// NewCopies are the copies in a folder; "" is none.
func NewCopies(folder string) *Copies { return &Copies{Folder: folder, held: map[string]heldCopy{}} }

// ErrNoCopy says that there is no copy; others that it is there and cannot be used.
var ErrNoCopy = errors.New("there is no copy of it yet")

// ErrExpired says that a copy must not be served any more.
var ErrExpired = errors.New("its copy has expired")

// errDamaged says that a copy is not what was written. It is fetched again.
var errDamaged = errors.New("the copy is damaged, or of an earlier version of mxtrap")

// copyHead is what a copy begins with. Records in wire format follow, and the SHA-256 of all before it.
const copyHead = "mxtrap copy 1\n"

// MaxRecords is how many octets the records of a zone from a primary may have, with all names whole: a pointer of two octets may stand for
// a name of 255.
const MaxRecords = 128 << 20

// maxCopy bounds what is read of a copy: what a primary may send, and its head and end.
const maxCopy = MaxRecords + int64(len(copyHead)) + sha256.Size

// maxEscaped is the longest name of a zone that a file is called by; longer ones are cut, and told apart by their hash.
const maxEscaped = 180

// File is where the copy of a zone is.
func (c *Copies) File(zone string) string { return fileOf(c.Folder, zone, ".zone") }

// fileOf is the file of a zone in a folder.
func fileOf(folder, zone, ending string) string {
	escaped := url.PathEscape(strings.ToLower(zone))
	if len(escaped) > maxEscaped {
		sum := sha256.Sum256([]byte(escaped))
		escaped = escaped[:maxEscaped] + "-" + hex.EncodeToString(sum[:8])
	}
	return filepath.Join(folder, escaped+ending)
}

// Read reads the copy of a zone, and when the primary was last heard of it. A time that is still to come is none.
func (c *Copies) Read(zone string) (records []rr.Record, confirmed time.Time, err error) {
	c.mu.Lock()
	held, ok := c.held[zone]
	c.mu.Unlock()
	if ok {
		return held.records, held.confirmed, nil
	}
	if c.Folder == "" {
		return nil, confirmed, ErrNoCopy
	}
	f, err := os.OpenFile(c.File(zone), os.O_RDONLY|syscall.O_NONBLOCK, 0) // does not wait for a pipe's writer
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil, confirmed, ErrNoCopy
	case err != nil:
		return nil, confirmed, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, confirmed, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxCopy {
		return nil, confirmed, errDamaged
	}
	text, err := io.ReadAll(io.LimitReader(f, maxCopy))
	if err != nil {
		return nil, confirmed, err
	}
	if confirmed = info.ModTime(); confirmed.After(time.Now()) {
		confirmed = time.Time{}
	}
	records, err = parseCopy(text, zone)
	return records, confirmed, err
}

// parseCopy reads a copy's octets. One of another zone, whose file was given this name, is damaged too.
func parseCopy(text []byte, name string) (records []rr.Record, err error) {
	apex, err := zone.WireName(dns.Fqdn(name))
	if err != nil {
		return nil, err
	}
	end := len(text) - sha256.Size
	if end < len(copyHead) || string(text[:len(copyHead)]) != copyHead {
		return nil, errDamaged
	}
	if sum := sha256.Sum256(text[:end]); !bytes.Equal(sum[:], text[end:]) {
		return nil, errDamaged
	}
	owner := ""
	for at := len(copyHead); at < end; {
		r, _, next, err := rr.Unpack(text[:end], at)
		if err != nil || rdata.Check(r.Type, r.Data) != nil || !zone.Within(r.Owner, apex) {
			return nil, errDamaged
		}
		if r.Owner == owner {
			r.Owner = owner // one piece of memory for all of an owner
		}
		records, owner, at = append(records, r), r.Owner, next
	}
	return records, nil
}

// Prepare writes a copy beside the one that is served, into a file of its own.
func (c *Copies) Prepare(zone string, records []rr.Record) (file string, err error) {
	if c.Folder == "" {
		return "", errNoState
	}
	if err := os.MkdirAll(c.Folder, 0o700); err != nil {
		return "", err
	}
	return write(c.Folder, func(w *bufio.Writer) {
		sum := sha256.New()
		both := io.MultiWriter(w, sum)
		io.WriteString(both, copyHead)
		var wire []byte
		for _, r := range records {
			wire = r.AppendWire(wire[:0])
			both.Write(wire)
		}
		w.Write(sum.Sum(nil))
	})
}

// errNoState says that copies are in memory alone.
var errNoState = errors.New("server.state is not set")

// Commit makes what was prepared the copy, or keeps the records in memory, where that failed or fails. It lasts once [copies.sync] has
// followed.
func (c *Copies) Commit(zone string, records []rr.Record, prepared string, err error) error {
	if err == nil {
		err = os.Rename(prepared, c.File(zone))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.held, zone)
	if err != nil {
		c.held[zone] = heldCopy{records, time.Now()}
	}
	return err
}

// Sync makes what was committed outlive a crash.
func (c *Copies) Sync() error {
	if c.Folder == "" {
		return nil
	}
	return syncFolder(c.Folder)
}

// Discard removes what was prepared and is not to be the copy.
func (c *Copies) Discard(prepared string) {
	if prepared != "" {
		os.Remove(prepared)
	}
}

// Sweep removes what a process before has prepared and not committed.
func (c *Copies) Sweep() {
	if c.Folder == "" {
		return
	}
	left, _ := filepath.Glob(filepath.Join(c.Folder, preparing))
	for _, file := range left {
		os.Remove(file)
	}
}

// Confirm notes that the primary has been heard.
func (c *Copies) Confirm(zone string, at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if held, ok := c.held[zone]; ok {
		c.held[zone] = heldCopy{held.records, at}
		return nil
	}
	return os.Chtimes(c.File(zone), at, at)
}
