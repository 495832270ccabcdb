package list

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"time"
)

// Journal stands for the journal of systemd in the place of a file.
const Journal = "journal"

const (
	followEvery = time.Second      // between looks at a file
	againAfter  = 10 * time.Second // until a journal that has ended is opened again
	longestLine = 8 << 10          // octets that are looked at
	mostAtOnce  = 64 << 10         // octets that are read of a file at a time
)

// RunLog takes visits from a mail log, as they are written to it, until the context ends: from a file, or from the journal. The DNSBL is the one
// by which the host refuses clients; "": none. The function that it returns waits for the end.
func (k *Keeper) RunLog(ctx context.Context, source, dnsbl string) (wait func()) {
	if source == "" {
		return func() {}
	}
	v := &visits{zone: dnsbl, held: map[netip.Addr]visit{}, seen: k.Visited}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		k.log.Info("reading visits from a mail log", "log", source)
		if source == Journal {
			k.followJournal(ctx, v)
		} else {
			k.followFile(ctx, source, v)
		}
	}()
	return func() { <-ended }
}

// tail is a file that another program writes to, and moves out of the way now and then.
type tail struct {
	path string
	file *os.File
	at   int64
	line []byte // what there is of one that is not whole
	room [mostAtOnce]byte
}

// open opens the file, at its end or at its beginning.
func (t *tail) open(end bool) error {
	if info, err := os.Stat(t.path); err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return &fs.PathError{Op: "read", Path: t.path, Err: errors.New("is no file")}
	}
	file, err := os.Open(t.path)
	if err != nil {
		return err
	}
	t.file, t.at, t.line = file, 0, nil
	if end {
		t.at, err = file.Seek(0, io.SeekEnd)
	}
	return err
}

// read takes in what has been written since, and says whether there is more.
func (t *tail) read(take func(line string)) (more bool, err error) {
	if info, err := t.file.Stat(); err == nil && info.Size() < t.at { // cut short, as "copytruncate" of logrotate does
		t.at, t.line = 0, nil
	}
	n, err := t.file.ReadAt(t.room[:], t.at)
	t.at += int64(n)
	for _, part := range bytes.SplitAfter(t.room[:n], []byte("\n")) {
		t.line = append(t.line, part[:min(len(part), longestLine)]...)
		if bytes.HasSuffix(part, []byte("\n")) {
			take(string(bytes.TrimRight(t.line[:min(len(t.line), longestLine)], "\r\n")))
			t.line = t.line[:0]
		}
		t.line = t.line[:min(len(t.line), longestLine)]
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n == len(t.room), err
}

// moved says whether another file has the path now.
func (t *tail) moved() bool {
	now, err := os.Stat(t.path)
	then, errThen := t.file.Stat()
	return err == nil && errThen == nil && !os.SameFile(now, then)
}

// followFile reads a file as it grows, from its end on, and what comes in its place from the beginning.
func (k *Keeper) followFile(ctx context.Context, path string, v *visits) {
	t := &tail{path: path}
	defer func() {
		if t.file != nil {
			t.file.Close()
		}
	}()
	first, told := true, false
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		var err error
		if t.file == nil {
			err = t.open(first)
		}
		if t.file != nil {
			moved := t.moved() // before it is read: what was written last is read too
			for more := true; more && err == nil && ctx.Err() == nil; {
				more, err = t.read(func(line string) { v.take(line, time.Now()) })
			}
			if moved || err != nil {
				t.file.Close()
				t.file = nil
			}
		}
		if err != nil && !told {
			k.log.Error("cannot read the mail log; mxtrap knows of no visits until it can, and lists nobody for a lack of them", "log", path, "error", err)
		}
		told, first = err != nil, first && err != nil && !errors.Is(err, fs.ErrNotExist)
		v.pass(time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// followJournal reads the journal as it grows.
func (k *Keeper) followJournal(ctx context.Context, v *visits) {
	for ctx.Err() == nil {
		err := readJournal(ctx, v)
		if ctx.Err() == nil {
			k.log.Error("cannot read the journal; mxtrap knows of no visits until it can, and lists nobody for a lack of them", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(againAfter):
		}
	}
}

// readJournal has journalctl tell what mail software says (syslog's facility mail), until that ends.
func readJournal(ctx context.Context, v *visits) error {
	cmd := exec.CommandContext(ctx, "journalctl", "--follow", "--lines=0", "--output=short", "--facility=mail")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		in := bufio.NewReaderSize(out, longestLine)
		for {
			line, err := in.ReadSlice('\n')
			if len(line) > 0 {
				lines <- string(bytes.TrimRight(line, "\r\n"))
			}
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				return
			}
		}
	}()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				if err := cmd.Wait(); err != nil {
					return err
				}
				return errors.New("journalctl has ended")
			}
			v.take(line, time.Now())
		case <-tick.C:
			v.pass(time.Now())
		}
	}
}
