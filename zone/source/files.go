package source

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mxtrap/zone/conf"
)

// Files are what a zone was read from. The path of the zone file is not kept here a second time, as there are very many.
type Files struct {
	zone   Note        // on the zone file
	more   []file      // what is named there
	secret *secretFile // that the trap follows from, which stays as it was read until the zone file is read again; nil: there is none
}

// file is a file and what it was when it was read.
type file struct {
	path string
	Note
}

// Note is what a file was when it was read.
type Note struct {
	size     int64
	modified int64 // in nanoseconds since 1970
	changed  int64 // likewise: its content, name, owner or rights
	inode    uint64
	mode     uint16 // its rights
	racy     bool   // it was so fresh that a later change may show neither in its size nor in its time
	hash     uint64 // of its text
}

// Files are the files of the zone.
func (s *Zone) Files() Files { return s.files }

// Hold says whether the files that were read just now hold what they held before.
func (files *Files) Hold(before Files) bool {
	return slices.EqualFunc(files.more, before.more, func(a, b file) bool { return a.path == b.path && a.hash == b.hash && a.size == b.size })
}

// Only are the notes without those on the files that the zone file names, but for the secret.
func (files Files) Only() Files { return Files{zone: files.zone, secret: files.secret} }

// add adds a file, once.
func (files *Files) add(path string, n Note) {
	if !slices.ContainsFunc(files.more, func(f file) bool { return f.path == path }) {
		files.more = append(files.more, file{path, n})
	}
}

// Renewed says whether the files still hold what they held, the zone file under its path, and returns them as they are now; changed
// says whether those are other notes than before.
func (files Files) Renewed(path string) (now Files, changed, ok bool) {
	now = files
	if now.zone, ok = files.zone.Renewed(path); !ok {
		return now, false, false
	}
	changed = now.zone != files.zone
	if files.secret != nil {
		s, err := readSecret(files.secret.path)
		if err != nil || !bytes.Equal(s.text, files.secret.text) {
			return now, false, false
		}
	}
	for i, f := range files.more {
		n, ok := f.Renewed(f.path)
		if !ok {
			return now, false, false
		}
		if n != f.Note {
			now.more, changed = slices.Clone(now.more), true
			now.more[i].Note = n
		}
	}
	return now, changed, true
}

// Modified is the time of the newest file, in seconds since 1970; 0 where there is none.
func (files *Files) Modified() uint32 {
	newest := files.zone.modified
	for _, f := range files.more {
		newest = max(newest, f.modified)
	}
	return uint32(newest / int64(time.Second))
}

// racyAge is how old a file must be when it is read for its time to be trusted: coarser than any file system's clock.
var racyAge = 2 * time.Second

// maxFile bounds what is read into memory of a zone's files, as [server] bounds what comes of a zone from its primary: a record takes some
// ten times as much there as in a file.
const maxFile = 64 << 20

// openFlags have nobody wait for the writer of a pipe.
const openFlags = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK

// readFile reads a regular file and notes what it was. It asks the kernel itself, for package os would offer each of very many files
// to its poller, which takes more system calls than the reading.
func readFile(path string) (Note, []byte, error) {
	var fd int
	err := uninterrupted(func() (err error) {
		fd, err = open(path)
		return err
	})
	if err != nil {
		return Note{}, nil, err
	}
	defer unix.Close(fd)
	var is unix.Stat_t
	if err = uninterrupted(func() error { return unix.Fstat(fd, &is) }); err == nil {
		err = checkFile(is.Mode&unix.S_IFMT == unix.S_IFREG, is.Size)
	}
	if err != nil {
		return Note{}, nil, err
	}
	text, n := textRooms.Get().(*[pooledText]byte)[:], 0
	if is.Size > pooledText {
		text = make([]byte, is.Size)
	}
	text = text[:is.Size]
	for more := 1; more > 0 && n < len(text); n += more { // it may have become shorter
		err := uninterrupted(func() (err error) {
			more, err = unix.Read(fd, text[n:])
			return err
		})
		if err != nil {
			return Note{}, nil, err
		}
	}
	return noted(&is, text[:n]), text[:n], nil
}

// textRooms are memory for the texts of files, of which most are short.
var textRooms = sync.Pool{New: func() any { return new([pooledText]byte) }}

const pooledText = 4 << 10

// ReleaseText gives a text's memory back: nobody may use it any more.
func ReleaseText(text []byte) {
	if cap(text) == pooledText {
		textRooms.Put((*[pooledText]byte)(text[:pooledText]))
	}
}

// Open says whether others than the file's owner and group may read it.
func (n Note) Open() bool { return n.mode&0o007 != 0 }

// ReadNoted reads a regular file of the operator's, and notes what it was. Its text may be given back to [ReleaseText].
func ReadNoted(path string) (Note, []byte, error) { return readFile(path) }

// ReadText reads a regular file of the operator's, of bounded size: a pipe or a device keeps nobody waiting.
func ReadText(path string) ([]byte, error) {
	_, text, err := readFile(path)
	return text, err
}

// uninterrupted makes a system call again until no signal interrupts it.
func uninterrupted(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// readIn reads a file below a folder, to which its links are kept too.
func readIn(dir *os.Root, rel string) (Note, []byte, error) {
	f, err := dir.OpenFile(rel, os.O_RDONLY|unix.O_NONBLOCK, 0) // does not wait for a pipe's writer
	if err != nil {
		return Note{}, nil, conf.Plain(err)
	}
	defer f.Close()
	var is unix.Stat_t
	if err = uninterrupted(func() error { return unix.Fstat(int(f.Fd()), &is) }); err == nil {
		err = checkFile(is.Mode&unix.S_IFMT == unix.S_IFREG, is.Size)
	}
	if err != nil {
		return Note{}, nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, is.Size))
	if err != nil {
		return Note{}, nil, conf.Plain(err)
	}
	return noted(&is, text), text, nil
}

// checkFile refuses what is no file to be read into memory.
func checkFile(regular bool, size int64) error {
	switch {
	case !regular:
		return errors.New("not a regular file")
	case size > maxFile:
		return fmt.Errorf("larger than %d bytes", maxFile)
	}
	return nil
}

// noted is the note on a file that was read just now.
func noted(is *unix.Stat_t, text []byte) Note {
	n := noteOf(is)
	n.racy = time.Now().UnixNano()-max(n.modified, n.changed) < int64(racyAge)
	n.hash = maphash.Bytes(hashSeed, text)
	return n
}

// noteOf is what the file system says of a file.
func noteOf(is *unix.Stat_t) Note {
	return Note{size: is.Size, modified: is.Mtim.Nano(), changed: is.Ctim.Nano(), inode: is.Ino, mode: uint16(is.Mode)}
}

// Renewed is the note on the file as it is now, where it still holds what was read. Its time must be the same too, for the automatic
// serial is made of it. Another file of the same size and time is read again, and so is one that has been changed since.
func (n Note) Renewed(path string) (now Note, ok bool) {
	var is unix.Stat_t
	err := uninterrupted(func() error { return unix.Stat(path, &is) })
	if err != nil {
		return n, false
	}
	seen := noteOf(&is)
	if seen.size != n.size || seen.modified != n.modified {
		return n, false
	}
	if !n.racy && seen.changed == n.changed && seen.inode == n.inode {
		return n, true
	}
	now, text, err := readFile(path)
	ReleaseText(text)
	return now, err == nil && now.hash == n.hash && now.modified == n.modified
}

// Secret are the notes without all but the secret: of a zone that stays though its files are others.
func (files Files) Secret() Files { return Files{secret: files.secret} }
