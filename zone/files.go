package zone

import (
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"mxtrap/zone/conf"
)

// Files are what a zone was read from.
type Files struct {
	zone file   // the zone file; without a path where the zone is from no file
	more []file // what is named there
}

// file is a file as it was when it was read.
type file struct {
	path     string
	size     int64
	modified int64  // in nanoseconds since 1970
	racy     bool   // it was so fresh that a later change may show neither in its size nor in its time
	hash     uint64 // of its text
}

// Files are the files of the zone.
func (s *Source) Files() Files { return s.files }

// add adds a file, once.
func (files *Files) add(f file) {
	if !slices.ContainsFunc(files.more, func(g file) bool { return g.path == f.path }) {
		files.more = append(files.more, f)
	}
}

// Path is that of the zone file; "" where the zone is from no file.
func (files *Files) Path() string { return files.zone.path }

// Renewed says whether the files still hold what they held, and returns them as they are now; changed says whether those are other
// notes than before.
func (files Files) Renewed() (now Files, changed, ok bool) {
	now = files
	if files.zone.path == "" {
		return now, false, false
	}
	if now.zone, ok = files.zone.renewed(); !ok {
		return now, false, false
	}
	changed = now.zone != files.zone
	for i, f := range files.more {
		g, ok := f.renewed()
		if !ok {
			return now, false, false
		}
		if g != f {
			now.more, changed = slices.Clone(now.more), true
			now.more[i] = g
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
const racyAge = 2 * time.Second

// maxFile bounds what is read into memory.
const maxFile = 1 << 30

// readFile reads a regular file and notes what it was. It asks the kernel itself, for package os would offer each of very many files
// to its poller, which takes more system calls than the reading.
func readFile(path string) (file, []byte, error) {
	var fd int
	err := uninterrupted(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return file{}, nil, err
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err = uninterrupted(func() error { return unix.Fstat(fd, &stat) }); err == nil {
		err = checkFile(stat.Mode&unix.S_IFMT == unix.S_IFREG, stat.Size)
	}
	if err != nil {
		return file{}, nil, err
	}
	text, n := make([]byte, stat.Size), 0
	for more := 1; more > 0 && n < len(text); n += more { // it may have become shorter
		err := uninterrupted(func() (err error) {
			more, err = unix.Read(fd, text[n:])
			return err
		})
		if err != nil {
			return file{}, nil, err
		}
	}
	return noted(path, stat.Size, stat.Mtim.Nano(), text[:n]), text[:n], nil
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
func readIn(dir *os.Root, rel, path string) (file, []byte, error) {
	info, err := dir.Stat(rel)
	if err == nil {
		err = checkFile(info.Mode().IsRegular(), info.Size())
	}
	if err != nil {
		return file{}, nil, conf.Plain(err)
	}
	text, err := dir.ReadFile(rel)
	if err != nil {
		return file{}, nil, conf.Plain(err)
	}
	return noted(path, info.Size(), info.ModTime().UnixNano(), text), text, nil
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

// noted is a file as it was when it was read just now.
func noted(path string, size, modified int64, text []byte) file {
	fresh := time.Now().UnixNano()-modified < int64(racyAge)
	return file{path: path, size: size, modified: modified, racy: fresh, hash: maphash.Bytes(seed, text)}
}

// renewed is the note on the file as it is now, where it still holds what was read. Its time must be the same too, for the automatic
// serial is made of it.
func (f file) renewed() (now file, ok bool) {
	var stat unix.Stat_t // os.Stat would leave a quarter of a kilobyte of garbage for each of very many files
	err := uninterrupted(func() error { return unix.Stat(f.path, &stat) })
	if err != nil || stat.Size != f.size || stat.Mtim.Nano() != f.modified {
		return f, false
	}
	if !f.racy {
		return f, true
	}
	now, _, err = readFile(f.path)
	return now, err == nil && now.hash == f.hash && now.modified == f.modified
}
