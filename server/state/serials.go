package state

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"mxtrap/zone"
)

// Served is what a zone was served as: under a serial number there is one content, for good.
type Served struct {
	Serial uint32 // that it was served under; 0 and no digest: not known
	Own    uint32 // that the operator's files or the primary gave it then
	Digest zone.Digest
}

// Known says whether the zone was served at all.
func (s Served) Known() bool { return s.Digest != zone.Digest{} }

// GoesBackFrom says whether the own number is lower than before.
func (s Served) GoesBackFrom(before Served) bool {
	return before.Known() && zone.Later(before.Own, s.Own)
}

// Numbering gives the zones of one load their serial numbers, by one rule: a zone has its own number, where that is ahead of the one
// that was served last (RFC 1982); else the last one while the content is the same, and one more when it is another. The own number
// that goes back counts as a change. What was served last is known of the version before, or from the file of serial numbers.
type Numbering struct {
	book *book

	mu      sync.Mutex
	entries map[string]Served // to be noted in the book
	changes []renumbered
}

// NewNumbering numbers the zones of a load, by the book in a folder; "" is none.
func NewNumbering(folder string) *Numbering {
	return &Numbering{book: newBook(folder), entries: map[string]Served{}}
}

// renumbered is a zone whose serial number is not its own.
type renumbered struct {
	zone           string
	was, now       uint32
	why            string
	back           bool // the own number has gone back
	ownWas, ownNow uint32
}

// Number gives a version of a zone its number, as the one that follows what was served before, and returns both.
func (n *Numbering) Number(z *zone.Zone, before Served, why string) (numbered *zone.Zone, now, last Served) {
	if !before.Known() && n.book != nil {
		before = n.book.last(z.Name())
	}
	now = Served{Serial: z.Serial(), Own: z.Serial()}
	if n.book != nil || before.Known() {
		now.Digest = z.Digest()
	}
	back := now.GoesBackFrom(before)
	if before.Known() && !zone.Later(now.Own, before.Serial) && !z.Given() { // a signature holds the number too
		if now.Serial = before.Serial; now.Digest != before.Digest || back {
			now.Serial++
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.book != nil && now != before {
		n.entries[z.Name()] = now
	}
	if now.Serial != now.Own && now.Serial != before.Serial {
		n.changes = append(n.changes, renumbered{z.Name(), before.Serial, now.Serial, why, back, before.Own, now.Own})
	}
	return z.Numbered(now.Serial), now, before
}

// Settle gives a name the number of the zone that has it in the end, where several had asked for it; one that is not known: none has.
func (n *Numbering) Settle(name string, holder Served) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.entries, name)
	n.changes = slices.DeleteFunc(n.changes, func(c renumbered) bool { return c.zone == name && c.now != holder.Serial })
	if n.book != nil && holder.Known() && n.book.last(name) != holder {
		n.entries[name] = holder
	}
}

// Knows says whether a zone of that name was served, by a process before this one too.
func (n *Numbering) Knows(name string) bool { return n.book.last(name).Known() }

// Saved is when the numbers were written last; zero: not known.
func (n *Numbering) Saved() time.Time {
	if n.book == nil {
		return time.Time{}
	}
	n.book.once.Do(n.book.read)
	return n.book.saved
}

// Unreadable is the file of serial numbers where it cannot be read, and why.
func (n *Numbering) Unreadable() (file string, err error) {
	if n.book == nil {
		return "", nil
	}
	return n.book.file, n.book.err
}

// Publish notes which numbers are served from now on, before they are, and logs those that are not the zones' own.
func (n *Numbering) Publish(log *slog.Logger) {
	if n.book != nil && n.book.err != nil {
		log.Error("cannot read the serial numbers served so far; numbers may go back", "file", n.book.file, "error", n.book.err)
	}
	if err := n.book.note(n.entries); err != nil {
		log.Error("cannot write the serial numbers; after a restart they may go back", "file", n.book.file, "error", err)
	}
	for _, c := range n.changes {
		log.Info(fmt.Sprintf("serial %d → %d: content changed (%s)", c.was, c.now, c.why), "zone", c.zone, "own", c.ownNow)
		if c.back {
			log.Warn("the serial number of a zone goes back; serving the last number + 1 until it is ahead again", "zone", c.zone, "was", c.ownWas, "is", c.ownNow, "served", c.now)
		}
	}
}

// book is the file of serial numbers, a line for each time that a zone was served anew. It is read when the first zone is looked for
// that is not known otherwise. Nil knows nothing.
type book struct {
	file string

	once    sync.Once
	lines   int
	entries map[string]Served
	saved   time.Time // when the file was written last
	err     error
}

// newBook is the one in a folder; nil where there is none.
func newBook(folder string) *book {
	if folder == "" {
		return nil
	}
	return &book{file: filepath.Join(folder, "serials")}
}

// last is what a zone was served as.
func (b *book) last(zone string) Served {
	if b == nil {
		return Served{}
	}
	b.once.Do(b.read)
	return b.entries[zone]
}

// maxBook bounds what is read of the file: ten million lines and more.
const maxBook = 1 << 30

func (b *book) read() {
	b.entries = map[string]Served{}
	info, err := os.Stat(b.file)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxBook) {
		err = errors.New("not a file of serial numbers")
	}
	var text []byte
	if err == nil {
		b.saved = info.ModTime()
		text, err = os.ReadFile(b.file)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		b.err = err
	}
	for line := range bytes.Lines(text) {
		b.lines++
		if zone, s, ok := parseServed(strings.TrimSuffix(string(line), "\n")); ok {
			b.entries[zone] = s
		}
	}
}

// line is what the file holds of a zone. It ends with a sum, so that a line that was cut is none.
func (s Served) line(zone string) string {
	text := fmt.Sprintf("%s %d %d %x", zone, s.Serial, s.Own, s.Digest)
	return fmt.Sprintf("%s %08x\n", text, crc32.ChecksumIEEE([]byte(text)))
}

func parseServed(line string) (zone string, s Served, ok bool) {
	words := strings.Fields(line)
	if len(words) != 5 || len(words[3]) != 2*len(s.Digest) {
		return "", s, false
	}
	text, _ := strings.CutSuffix(line, " "+words[4])
	serial, err1 := strconv.ParseUint(words[1], 10, 32)
	own, err2 := strconv.ParseUint(words[2], 10, 32)
	_, err3 := hex.Decode(s.Digest[:], []byte(words[3]))
	s.Serial, s.Own = uint32(serial), uint32(own)
	ok = err1 == nil && err2 == nil && err3 == nil && words[4] == fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(text)))
	return words[0], s, ok
}

// note writes what zones are served as from now on, before they are. The file is written anew where most of it is of the past.
func (b *book) note(entries map[string]Served) error {
	if b == nil || len(entries) == 0 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(b.file), 0o700); err != nil {
		return err
	}
	if b.entries != nil && b.lines > 2*len(b.entries)+1000 {
		for zone, s := range entries {
			b.entries[zone] = s
		}
		return replace(b.file, func(w *bufio.Writer) {
			for zone, s := range b.entries {
				w.WriteString(s.line(zone))
			}
		})
	}
	f, err := os.OpenFile(b.file, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	if end, err := f.Seek(-1, io.SeekEnd); err == nil { // a line that was cut must not spoil the next
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, end); err == nil && last[0] != '\n' {
			w.WriteString("\n")
		}
	}
	for zone, s := range entries {
		w.WriteString(s.line(zone))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Sync()
}
