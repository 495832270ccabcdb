package list

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"time"
)

// Journal stands for the journal of systemd in the place of a file.
const Journal = "journal"

const (
	followEvery = time.Second      // between looks at a file
	againAfter  = 10 * time.Second // until a journal that has ended is opened again
	blindStep   = 30 * time.Second // between notes that a log cannot be read
	longestLine = 8 << 10          // octets that are looked at
	mostAtOnce  = 64 << 10         // octets that are read of a file at a time
)

// RunLog takes visits from a mail log, as they are written to it, until the context ends: from a file, or from the journal. The function that it
// returns waits for the end.
func (k *Keeper) RunLog(ctx context.Context, source string) (wait func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		switch source {
		case "":
		case Journal:
			k.followJournal(ctx)
		default:
			k.followFile(ctx, source)
		}
	}()
	return func() { <-ended }
}

// logged takes a line of a mail log in.
func (k *Keeper) logged(line string) {
	v := visitorOf(line)
	if decoys := k.decoys.Load(); v.at.IsValid() && decoys.Of(v.at) != nil {
		return // postscreen stands at a decoy
	}
	if v.client.IsValid() {
		k.visited(v.client, v.name)
	}
}

// sight is since when a log has not been read.
type sight struct {
	*Keeper
	lost time.Time
	told bool // that it cannot be
}

// lose notes that the log cannot be read, and tells of it once.
func (s *sight) lose(log string, err error) {
	if !s.told {
		s.told = true
		s.log.Error("cannot read the mail log; until mxtrap can, nobody is listed for a lack of visits", "log", log, "error", err)
	}
	if time.Since(s.lost) > blindStep {
		s.regain()
	}
}

// regain notes that the log can be read again, and that nobody saw what came meanwhile.
func (s *sight) regain() {
	if s.told || time.Since(s.lost) > 2*againAfter {
		s.blind(s.lost)
	}
	s.lost = time.Now()
}

// tail is a file that another program writes to, and moves out of the way now and then.
type tail struct {
	path string
	file *os.File
	at   int64
	line []byte // what there is of one that is not whole
	room [mostAtOnce]byte
	lost bool // something of it was gone before it was read
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
		t.at, t.line, t.lost = 0, nil, true
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
func (k *Keeper) followFile(ctx context.Context, path string) {
	k.log.Info("reading visits from a mail log", "log", path)
	t := &tail{path: path}
	defer func() {
		if t.file != nil {
			t.file.Close()
		}
	}()
	s := &sight{Keeper: k, lost: time.Now()}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		if err := k.look(ctx, t, first); err != nil {
			s.lose(path, err)
		} else {
			s.told = s.told || t.lost
			s.regain()
			s.told, t.lost = false, false
		}
		select {
		case <-ctx.Done():
			if s.told {
				s.regain()
			}
			return
		case <-tick.C:
		}
	}
}

// look reads what is new of a file. The first look begins at its end.
func (k *Keeper) look(ctx context.Context, t *tail, first bool) (err error) {
	if t.file == nil {
		if err = t.open(first); err != nil {
			return err
		}
	}
	moved := t.moved() // before it is read: what was written last is read too
	for more := true; more && err == nil && ctx.Err() == nil; {
		more, err = t.read(k.logged)
	}
	if moved {
		t.file.Close()
		t.file = nil
	}
	return err
}

// followJournal reads the journal as it grows.
func (k *Keeper) followJournal(ctx context.Context) {
	k.log.Info("reading visits from the journal")
	s := &sight{Keeper: k, lost: time.Now()}
	for ctx.Err() == nil {
		err := k.readJournal(ctx, s)
		if ctx.Err() != nil {
			return
		}
		s.lose(Journal, err)
		select {
		case <-ctx.Done():
		case <-time.After(againAfter):
		}
	}
}

// readJournal has journalctl tell what mail software says (syslog's facility mail), until that ends.
func (k *Keeper) readJournal(ctx context.Context, s *sight) error {
	cmd := exec.CommandContext(ctx, "journalctl", "--follow", "--lines=0", "--output=short", "--facility=mail")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err
	}
	s.regain()
	in := bufio.NewReaderSize(out, longestLine)
	for goesOn := false; ; {
		line, err := in.ReadSlice('\n')
		begins := !goesOn
		goesOn = errors.Is(err, bufio.ErrBufferFull)
		if len(line) > 0 && begins {
			k.logged(string(bytes.TrimRight(line, "\r\n")))
			s.told = false
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			s.lost = time.Now()
			return cmp.Or(cmd.Wait(), errors.New("journalctl has ended"))
		}
	}
}
