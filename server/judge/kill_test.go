//go:build unix

package judge

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

const killedFolder = "MXTRAP_TEST_KILLED"

// TestNothingIsLostByAKill lets a process note sightings while it writes its file anew again and again, and kills it at some moment: what it
// had noted by then is there.
func TestNothingIsLostByAKill(t *testing.T) {
	if dir := os.Getenv(killedFolder); dir != "" {
		noteUntilKilled(t, dir)
		return
	}
	t.Parallel()
	dir := t.TempDir()
	last := -1
	for round := range 12 {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestNothingIsLostByAKill$")
		cmd.Env = append(os.Environ(), killedFolder+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewScanner(out)
		noted := in.Scan() // it has begun
		time.AfterFunc(time.Duration(rand.IntN(20_000))*time.Microsecond, func() { cmd.Process.Kill() })
		for ; noted; noted = in.Scan() {
			if n, err := strconv.Atoi(in.Text()); err == nil {
				last = n
			}
		}
		cmd.Wait()
		b := NewBook(Rules{Keep: time.Hour})
		if _, err := b.Read(filepath.Join(dir, "facts"), time.Now().Unix()); err != nil || b.sightings < last+1 || b.sightings > last+2 {
			t.Fatalf("round %d: %d sightings, and %d were noted; %v", round, b.sightings, last+1, err)
		}
	}
	if last < 100 {
		t.Errorf("only %d were noted: nothing is shown", last)
	}
}

func noteUntilKilled(t *testing.T, dir string) {
	b := bookIn(t, dir, noon)
	go func() {
		for {
			b.mu.Lock()
			b.log.size = 1 << 40
			b.mu.Unlock()
			b.Compact(noon)
		}
	}()
	for i := b.sightings; ; i++ {
		s := at(0, "deaf")
		s.Client = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		add(t, b, s)
		fmt.Println(i)
	}
}
