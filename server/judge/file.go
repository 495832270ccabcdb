package judge

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
)

// Fact is a line of the file.
type Fact struct {
	Sighting *Sighting `json:"sighting,omitempty"`
	Visit    *Visit    `json:"visit,omitempty"`
	Outage   *Outage   `json:"outage,omitempty"`
	Pardon   *Pardon   `json:"pardon,omitempty"` // in a file of its own
	Asked    int64     `json:"asked,omitempty"`  // Postfix asked about somebody at that time
	Alive    int64     `json:"alive,omitempty"`  // the process ran at that time
	Took     *Took     `json:"took,omitempty"`   // a real host took a message of a client that was sighted
	Day      *Day      `json:"day,omitempty"`    // what was counted in a day, so far
}

// Visit is one to a real exchange, by somebody of certain surroundings.
type Visit struct {
	At   int64       `json:"at"`
	From Surrounding `json:"from"`
}

// Took is a message that a real host has taken.
type Took struct {
	At     int64        `json:"at"`
	Client netip.Prefix `json:"client"`
}

// Pardon is the operator's word.
type Pardon struct {
	At  int64        `json:"at"`
	For netip.Prefix `json:"for"`
}

// A line is a checksum in eight hexadecimal digits, a space, and a fact in JSON. What a crash has cut short, or a disk has damaged, is told by
// its checksum, and left out.
const sumSize = 8

func appendLine(to []byte, f Fact) []byte {
	text, err := json.Marshal(f)
	if err != nil { // no value of a fact is one that JSON does not have
		return to
	}
	return append(append(fmt.Appendf(to, "%08x ", crc32.ChecksumIEEE(text)), text...), '\n')
}

func parseLine(line []byte) (f Fact, ok bool) {
	line = bytes.TrimSuffix(line, []byte("\n"))
	if len(line) < sumSize+1 {
		return f, false
	}
	sum, err := strconv.ParseUint(string(line[:sumSize]), 16, 32)
	text := line[sumSize+1:]
	return f, err == nil && uint32(sum) == crc32.ChecksumIEEE(text) && json.Unmarshal(text, &f) == nil
}

// maxFact is how long a line may be.
const maxFact = 64 << 10

// readFacts reads a file, and says how many lines of it were damaged. A file that is not there has none.
func readFacts(path string, take func(Fact)) (damaged int, err error) {
	if err := noFile(path); err != nil {
		return 0, err
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	defer file.Close()
	for in := bufio.NewReaderSize(file, maxFact); ; {
		line, err := in.ReadSlice('\n')
		if f, ok := parseLine(line); ok {
			take(f)
		} else if len(line) > 0 && !errors.Is(err, io.EOF) { // what stands last may have been cut short by the end of a process
			damaged++
		}
		switch {
		case errors.Is(err, io.EOF):
			return damaged, nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return damaged, err
		}
	}
}

// noFile is the error of what stands in the place of a file and would keep those waiting who open it, such as a pipe.
func noFile(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: is no file", path)
	}
	return nil
}

// log is a file to which facts are added. Each is written at once, so that it outlives the process, whatever ends that.
type log struct {
	path string
	file *os.File
	size int64
	cut  bool // its last line was cut short, and stands there as a damaged one
}

// openLog opens the file for adding. A line that was cut short before is ended.
func openLog(path string, mode fs.FileMode) (*log, error) {
	if err := noFile(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, mode)
	if err != nil {
		return nil, err
	}
	l := &log{path: path, file: file}
	info, err := file.Stat()
	if err == nil {
		l.size = info.Size()
	}
	last := []byte{'\n'}
	if l.size > 0 {
		file.ReadAt(last, l.size-1)
	}
	if l.cut = last[0] != '\n'; l.cut {
		err = errors.Join(err, l.write([]byte{'\n'}))
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return l, nil
}

func (l *log) write(lines []byte) error {
	n, err := l.file.Write(lines)
	l.size += int64(n)
	if err != nil && n > 0 { // such as a full disk: what comes next begins a line of its own
		if l.file.Truncate(l.size-int64(n)) == nil {
			l.size -= int64(n)
			l.file.Seek(l.size, io.SeekStart)
		}
	}
	return err
}

// writeLog writes facts to a file that is to take the place of another one.
func writeLog(path string, facts []Fact) (*log, error) {
	if err := noFile(path); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(filepath.Dir(path), unfinished)
	if err != nil {
		return nil, err
	}
	next := &log{path: path, file: file}
	out := bufio.NewWriterSize(file, maxFact)
	var line []byte
	for _, f := range facts {
		line = appendLine(line[:0], f)
		next.size += int64(len(line))
		out.Write(line)
	}
	if err = errors.Join(out.Flush(), file.Sync()); err != nil {
		next.discard()
		return nil, err
	}
	return next, nil
}

// unfinished is what the names of files look like that are to take the place of others.
const unfinished = ".new-*"

func (l *log) discard() {
	l.file.Close()
	os.Remove(l.file.Name())
}

// giveWay puts another file in the place of the log, with some more lines: at any moment there is the old one or the new one.
func (l *log) giveWay(next *log, lines []byte) error {
	err := next.write(lines)
	if err == nil {
		err = os.Rename(next.file.Name(), l.path)
	}
	if err != nil {
		next.discard()
		return err
	}
	if l.file != nil {
		l.file.Close()
	}
	*l = *next
	return nil
}

// AppendPardon adds a pardon to a file of those.
func AppendPardon(path string, p Pardon) error {
	l, err := openLog(path, 0o644) // whoever writes it, the server must be able to read it
	if err != nil {
		return err
	}
	return errors.Join(l.write(appendLine(nil, Fact{Pardon: &p})), l.file.Close())
}
