//go:build unix

package judge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var bot = netip.MustParseAddr("203.0.113.9")

// bookIn is a book that keeps its facts in a file of a folder.
func bookIn(t *testing.T, dir string, now int64) *Book {
	t.Helper()
	b := NewBook(Rules{Keep: 30 * 24 * time.Hour})
	path := filepath.Join(dir, "facts")
	if _, err := b.Read(path, now); err != nil {
		t.Fatal(err)
	}
	if err := b.Write(path, now); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *Book) wants(t *testing.T, when string, now int64, want Grade) {
	t.Helper()
	got := Grade(0)
	if l := b.Judge(bot, now); l != nil {
		got = l.Grade
	}
	if got != want {
		t.Errorf("%s: %d, want %d", when, got, want)
	}
}

func add[T any](t *testing.T, b *Book, fact T) {
	t.Helper()
	var f Fact
	switch x := any(fact).(type) {
	case Sighting:
		f.Sighting = &x
	case Visit:
		f.Visit = &x
	}
	if err := b.Add(f); err != nil {
		t.Fatal(err)
	}
}

func TestTheBookOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	b := bookIn(t, dir, noon)
	b.Tick(noon+100*minute, 100*time.Minute, false)
	stranger := Surroundings(netip.MustParseAddr("198.51.100.1"), "")[0]
	add(t, b, Visit{noon + 90*minute, stranger})
	add(t, b, at(100, "tried"))
	add(t, b, Visit{noon + 110*minute, stranger})
	b.Tick(noon+200*minute, 100*time.Minute, false)
	b.wants(t, "before", noon+200*minute, Passed)
	b = bookIn(t, dir, noon+201*minute) // nothing was closed
	b.wants(t, "after a kill", noon+201*minute, Passed)
	if list, _ := b.Sightings(bot); len(list) != 1 || list[0].Decoy != "mx2.example.com" {
		t.Errorf("%+v", list)
	}
	pardons := filepath.Join(dir, "pardons")
	if err := AppendPardon(pardons, Pardon{noon + 202*minute, Wide(bot)}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.ReadPardons(pardons); err != nil || len(b.pardons) != 1 {
			t.Fatal(b.pardons, err)
		}
	}
	b.wants(t, "pardoned", noon+203*minute, 0)
	info, _ := os.Stat(filepath.Join(dir, "facts"))
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file has the rights %v", info.Mode())
	}
}

// TestADamagedFileLosesWhatIsDamaged, wherever it was cut or changed, and goes on.
func TestADamagedFileLosesWhatIsDamaged(t *testing.T) {
	dir := t.TempDir()
	b := bookIn(t, dir, noon)
	for i := range int64(5) {
		add(t, b, at(i, "deaf"))
	}
	path := filepath.Join(dir, "facts")
	whole, _ := os.ReadFile(path)
	for cut := 0; cut < len(whole); cut += 5 {
		os.WriteFile(path, whole[:cut], 0o600)
		b := bookIn(t, dir, noon+10*minute)
		before, _ := b.Sightings(bot)
		if want := max(0, strings.Count(string(whole[:cut]), "\n")-1); len(before) != want && len(before) != want+1 {
			t.Fatalf("cut at %d: %d sightings, want %d", cut, len(before), want)
		}
		add(t, b, at(20, "deaf"))
		if after, _ := bookIn(t, dir, noon+30*minute).Sightings(bot); len(after) != len(before)+1 {
			t.Fatalf("cut at %d: %d sightings after one more to %d", cut, len(after), len(before))
		}
	}
	for at := 0; at < len(whole); at += 7 {
		changed := []byte(string(whole))
		changed[at] ^= 0x20
		os.WriteFile(path, changed, 0o600)
		b := NewBook(Rules{Keep: time.Hour})
		damaged, err := b.Read(path, noon+5400)
		if list, _ := b.Sightings(bot); err != nil || damaged > 2 || len(list) < 3 {
			t.Fatalf("changed at %d: %d damaged, %d sightings, %v", at, damaged, len(list), err)
		}
	}
	os.WriteFile(path, []byte(strings.Repeat("x", 10*maxFact)+"\n"+string(whole)), 0o600)
	if list, _ := bookIn(t, dir, noon+10*minute).Sightings(bot); len(list) != 5 {
		t.Errorf("behind an endless line: %d sightings", len(list))
	}
}

// TestWhatIsKeptHasBounds of age, number and size.
func TestWhatIsKeptHasBounds(t *testing.T) {
	dir := t.TempDir()
	b := bookIn(t, dir, noon)
	now := int64(noon)
	for i := range 8_000 {
		now += 60
		s := Sighting{At: now, Client: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), Owner: "example.com", NoSMTP: true}
		if i%2 == 0 {
			s.Client = bot
		}
		add(t, b, s)
		add(t, b, Visit{now, Surroundings(netip.AddrFrom4([4]byte{172, 16, byte(i >> 8), byte(i)}), "")[0]})
		if i%100 == 0 {
			_, err := b.Tick(now, 100*time.Minute, false)
			if err := errors.Join(err, b.Compact(now)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(b.clients[Narrow(bot)]); n > mostOfClient {
		t.Errorf("%d sightings of one client", n)
	}
	now += 40 * day
	b.alive = now // the clock is right: time has passed
	b.Tick(now+120, 2*forgetStep, false)
	b.Compact(now)
	if b.sightings != 0 || len(b.clients) != 0 || len(b.around) != 0 || len(b.visits) != 0 || len(b.outages) != 0 {
		t.Errorf("%d sightings, %d clients, %d visitors, %d outages after the time of keeping", b.sightings, len(b.clients), len(b.visits), len(b.outages))
	}
	if info, _ := os.Stat(filepath.Join(dir, "facts")); info.Size() > 1000 {
		t.Errorf("the file has %d octets", info.Size())
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(left) > 0 {
		t.Error(left)
	}
}

func TestAClockThatJumpsListsNobody(t *testing.T) {
	b := bookIn(t, t.TempDir(), noon)
	now := int64(noon)
	for range 100 {
		now += aliveStep
		b.Tick(now, aliveStep*time.Second, false)
	}
	s := at(0, "tried")
	s.At = now
	add(t, b, s)
	b.asked = []int64{now - minute, now + 10, now + 30*minute}
	ahead := now + 2*hour
	b.Tick(ahead, aliveStep*time.Second, false)
	b.wants(t, "ahead", ahead, 0)
	b.Tick(now+20, aliveStep*time.Second, false)
	b.wants(t, "back", now+20, 0)
	b.Tick(now+70*minute, 70*time.Minute, false)
	b.wants(t, "in the end", now+70*minute, 0)
}

func TestOutagesBeginAndEndOnce(t *testing.T) {
	dir := t.TempDir()
	b := bookIn(t, dir, noon)
	for range 3 {
		b.Down("example.com", true, noon+100)
		b.Down("example.org", false, noon+100)
	}
	b = bookIn(t, dir, noon+150)
	b.Down("example.com", true, noon+160)
	b.Down("example.com", false, noon+200)
	b.Down("example.com", false, noon+300)
	if got := fmt.Sprint(b.outages[whose{owner: "example.com"}], len(b.outages[whose{owner: "example.org"}])); got != fmt.Sprintf("[{example.com  %d %d}] 0", noon+100, noon+200) {
		t.Error(got)
	}
	add(t, b, at(20, "deaf"))
	b.wants(t, "after the outage", noon+20*minute, Deaf)
}

func TestVisitsClearAndPardon(t *testing.T) {
	dir := t.TempDir()
	b := bookIn(t, dir, noon-day)
	neighbour := netip.MustParseAddr("203.0.113.200")
	add(t, b, Visit{noon - 5*minute, Surroundings(neighbour, "")[0]})
	add(t, b, at(0, "deaf"))
	b.wants(t, "a neighbour was at a real host", noon, 0)
	b = bookIn(t, dir, noon+minute)
	b.outages = map[whose][]Outage{} // of the restart
	b.wants(t, "and after a restart", noon+minute, 0)
	b.rules.Exempt = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/28")}
	add(t, b, at(300, "deaf"))
	b.wants(t, "exempt", noon+301*minute, 0)
	b.rules.Exempt = nil
	b.wants(t, "not exempt", noon+301*minute, Deaf)
	if l := b.Listed(noon + 301*minute); len(l) != 1 || l[0].Client.String() != "203.0.113.9/32" {
		t.Errorf("%+v", l)
	}
}

// TestALargeSenderIsPardonedByItsDomain: it tries a message again from whichever of its hosts, far from the first one.
func TestALargeSenderIsPardonedByItsDomain(t *testing.T) {
	dir := t.TempDir()
	b := bookIn(t, dir, noon-day)
	sighted := at(0, "deaf")
	sighted.Name = "out-7.mail.sender.co.uk"
	add(t, b, sighted)
	b.wants(t, "a host of a large sender", noon+minute, Deaf)
	for _, c := range []struct {
		name string
		want Grade
	}{{"", Deaf}, {"mail.other.co.uk", Deaf}, {"sender.com", Deaf}, {"co.uk", Deaf}, {"out-9.mail.Sender.CO.UK.", 0}} {
		for _, from := range Surroundings(netip.MustParseAddr("198.51.100.1"), c.name) {
			add(t, b, Visit{noon + 30*minute, from})
		}
		b.wants(t, "after a visit of "+c.name, noon+31*minute, c.want)
	}
	b = bookIn(t, dir, noon+32*minute)
	b.outages = map[whose][]Outage{} // of the restart
	b.wants(t, "and after a restart", noon+33*minute, 0)
	if list, visits := b.Sightings(bot); len(list) != 1 || len(visits) != 1 || visits[0].From != "sender.co.uk" {
		t.Errorf("%+v, %+v", list, visits)
	}
	b.Forget(noon + 60*day)
	if len(b.around) > 0 || b.sightings != 0 || len(b.visits) > 0 {
		t.Errorf("what is left: %v, %d, %v", b.around, b.sightings, b.visits)
	}
}

// TestWhoIsTurnedAwayHasNotVisited: else each bot would be pardoned by its first try at a real host.
func TestWhoIsTurnedAwayHasNotVisited(t *testing.T) {
	for _, c := range []struct {
		says, client string
		turnedAway   bool
		want         Grade
	}{
		{"a bot that mail hosts turn away", "203.0.113.9", true, Deaf},
		{"its neighbour, which they do not", "203.0.113.10", true, 0},
		{"a bot where the operator only looks", "203.0.113.9", false, 0},
	} {
		b := bookIn(t, t.TempDir(), noon-day)
		add(t, b, at(0, "deaf"))
		if err := b.Visit(netip.MustParseAddr(c.client), "", noon+30*minute, c.turnedAway); err != nil {
			t.Fatal(err)
		}
		b.wants(t, c.says, noon+31*minute, c.want)
		if len(b.asked) == 0 {
			t.Errorf("%s: nothing tells that somebody looks", c.says)
		}
	}
}

// TestNobodyIsConvictedWhileNobodyLooks: a sighting whose hour of grace lies in a time that mxtrap did not see.
func TestNobodyIsConvictedWhileNobodyLooks(t *testing.T) {
	for _, c := range []struct {
		name   string
		after  func(b *Book, path string) *Book // what becomes of the book after two minutes
		listed Grade
	}{
		{"it is seen", func(b *Book, _ string) *Book {
			for i := int64(130); i <= 5400; i += 10 {
				b.Tick(noon+i, 10*time.Second, false)
			}
			return b
		}, Passed},
		{"the server is down, and somebody reads its file", func(_ *Book, path string) *Book {
			b := NewBook(Rules{Keep: 30 * 24 * time.Hour})
			b.Read(path, noon+5400)
			b.Missed(noon + 5400)
			return b
		}, 0},
		{"it was down and its file cannot be written", func(_ *Book, path string) *Book {
			b := NewBook(Rules{Keep: 30 * 24 * time.Hour})
			b.Read(path, noon+5400)
			os.Remove(path)
			os.Mkdir(path, 0o700)
			if b.Write(path, noon+5400) == nil {
				t.Error("a folder can be written")
			}
			return b
		}, 0},
		{"the process stood still", func(b *Book, _ string) *Book {
			b.Tick(noon+5400, 5280*time.Second, true)
			return b
		}, 0},
		{"the host stood still", func(b *Book, _ string) *Book {
			b.Tick(noon+5400, 10*time.Second, false)
			return b
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			b := bookIn(t, dir, noon-day)
			for i := int64(-3600); i <= 120; i += 10 {
				b.Tick(noon+i, 10*time.Second, false)
				if i == 0 {
					add(t, b, at(0, "tried"))
				}
				if i%600 == 0 {
					add(t, b, Visit{noon + i, Surroundings(netip.MustParseAddr("192.0.2.1"), "")[0]})
				}
			}
			b.outages = map[whose][]Outage{}
			b = c.after(b, filepath.Join(dir, "facts"))
			b.asked = slices.Clone(always)
			b.wants(t, "an hour and a half later", noon+5400, c.listed)
		})
	}
}

// TestWhatAFullDiskLostIsWrittenLater: until then nothing is added to the file, for a part of the facts may convict whom the whole clears.
func TestWhatAFullDiskLostIsWrittenLater(t *testing.T) {
	dir := t.TempDir()
	b := bookIn(t, dir, noon-day)
	add(t, b, at(0, "deaf"))
	file := b.log.file
	b.log.file, _ = os.Open(file.Name()) // cannot be written
	if err := b.Down("example.com", true, noon+10*minute); err == nil {
		t.Fatal("an outage is written to a file that is read only")
	}
	b.log.file = file // the disk has room again
	if err := b.Add(Fact{Alive: noon + 20*minute}); !errors.Is(err, errTorn) {
		t.Fatalf("a fact is added behind one that is missing: %v", err)
	}
	if err := b.Compact(noon + 20*minute); err != nil {
		t.Fatal(err)
	}
	if err := b.Down("example.com", false, noon+30*minute); err != nil {
		t.Fatal(err)
	}
	again := bookIn(t, dir, noon+300*minute)
	again.outages[whose{}] = nil // of the restart
	again.wants(t, "after a restart", noon+301*minute, 0)
}

// TestAVisitClearsAsLongAsTheSightingIsKept, however short that is.
func TestAVisitClearsAsLongAsTheSightingIsKept(t *testing.T) {
	b := NewBook(Rules{Keep: 12 * time.Hour})
	add(t, b, Visit{noon - 10*minute, Surroundings(bot, "")[0]})
	add(t, b, at(0, "deaf"))
	for i := int64(0); i < 13*hour; i += minute {
		b.Tick(noon+i, time.Minute, false)
		b.wants(t, "greylisted, then at a decoy", noon+i, 0)
	}
}

// TestAClockThatWasAheadIsForgotten.
func TestAClockThatWasAheadIsForgotten(t *testing.T) {
	dir := t.TempDir()
	b := bookIn(t, dir, noon-day)
	b.Tick(noon, 10*time.Second, false)
	if jumped, _ := b.Tick(noon+1000*day, 10*time.Second, false); !jumped {
		t.Error("the jump is not told")
	}
	future := at(0, "deaf")
	future.At += 1000 * day
	add(t, b, future)
	add(t, b, Visit{noon + 1000*day, Surroundings(bot, "")[0]})
	if jumped, _ := b.Tick(noon+20, 10*time.Second, false); !jumped {
		t.Error("the jump back is not told")
	}
	if b.sightings != 0 {
		t.Errorf("%d sightings of the future", b.sightings)
	}
	if err := b.Compact(noon + 30); err != nil {
		t.Fatal(err)
	}
	add(t, b, at(180, "deaf"))
	b.wants(t, "a bot three hours later", noon+181*minute, Deaf)
	b = bookIn(t, dir, noon+400*minute)
	b.outages[whose{}] = slices.DeleteFunc(b.outages[whose{}], func(o Outage) bool { return o.To > noon+181*minute }) // of the restart
	b.wants(t, "and after a restart", noon+401*minute, Deaf)
}

// TestAClockThatGoesBackForAMomentTakesNoVisitAway: the visit was made, whenever that was.
func TestAClockThatGoesBackForAMomentTakesNoVisitAway(t *testing.T) {
	b := bookIn(t, t.TempDir(), noon-4*day)
	b.asked = slices.Clone(always)
	for _, days := range []float64{-2.5, -1.5, -0.5} {
		add(t, b, at(int64(days*1440), "tried"))
	}
	b.Tick(noon-90*minute, 0, false)
	add(t, b, Visit{noon - hour, Surroundings(bot, "")[0]})
	b.Tick(noon-2*hour, 10*time.Second, false)
	b.Tick(noon+20, 10*time.Second, false)
	b.outages = map[whose][]Outage{} // of the jumps
	b.wants(t, "after the clock went back and forth", noon+20, 0)
}

// TestWhatClearsASightingClearsItForGood, however many visits follow: of these the newest are kept alone.
func TestWhatClearsASightingClearsItForGood(t *testing.T) {
	dir := t.TempDir()
	b := bookIn(t, dir, noon-day)
	add(t, b, vouched(at(0, "deaf")))
	here := Surroundings(bot, "")[0]
	add(t, b, Visit{noon + minute, here})
	for i := range int64(2 * mostVisits) {
		add(t, b, Visit{noon + 10*hour + i*visitStep, here})
	}
	add(t, b, vouched(at(20*60, "deaf")))
	b.wants(t, "the second of two sightings, whose first was cleared", noon+20*hour, 0)
	b = bookIn(t, dir, noon+30*hour)
	b.outages = map[whose][]Outage{} // of the restart
	b.wants(t, "and after a restart", noon+20*hour, 0)
}

// TestAFileThatIsReadInPartConvictsNobody: a line is damaged, or the rest cannot be read.
func TestAFileThatIsReadInPartConvictsNobody(t *testing.T) {
	dir := t.TempDir()
	b := bookIn(t, dir, noon-day)
	add(t, b, at(0, "deaf"))
	add(t, b, Visit{noon + 5*minute, Surroundings(bot, "")[0]})
	path := filepath.Join(dir, "facts")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damagedVisit := strings.Replace(string(text), "\"from\":\"203", "\"from\":\"204", 1)
	if damagedVisit == string(text) {
		t.Fatal("the visit is not in the file")
	}
	os.WriteFile(path, []byte(damagedVisit), 0o600)
	again := NewBook(Rules{Keep: 30 * 24 * time.Hour})
	if damaged, err := again.Read(path, noon+2*hour); damaged != 1 || err != nil {
		t.Error(damaged, err)
	}
	again.wants(t, "a damaged visit", noon+2*hour, 0)
	pardons := filepath.Join(dir, "pardons")
	if err := AppendPardon(pardons, Pardon{At: noon, For: Narrow(bot)}); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(pardons, []byte("00000000 {\"pardon\":{}}\n"), 0o600)
	if err := again.ReadPardons(pardons); err == nil {
		t.Error("a damaged pardon is not told of")
	}
}

// TestAFullBookThatIsDatedAheadIsForgotten, and keeps nobody waiting.
func TestAFullBookThatIsDatedAheadIsForgotten(t *testing.T) {
	b := NewBook(Rules{Keep: 30 * 24 * time.Hour})
	for i := range mostSightings + 1 {
		b.take(Fact{Sighting: &Sighting{At: noon + 1000, Client: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})}})
	}
	if b.Forget(noon); b.sightings > mostSightings {
		t.Errorf("%d sightings", b.sightings)
	}
}

// TestATimeThatNobodySawIsOneOutage, in however many parts it is told.
func TestATimeThatNobodySawIsOneOutage(t *testing.T) {
	b := NewBook(Rules{Keep: time.Hour})
	for i := range int64(100) {
		b.Add(Fact{Outage: &Outage{From: noon + 10*i, To: noon + 10*i + 9}})
	}
	b.Add(Fact{Outage: &Outage{From: noon + 5*hour, To: noon + 6*hour}})
	if got := fmt.Sprint(b.outages[whose{}]); got != fmt.Sprintf("[{  %d %d} {  %d %d}]", noon, noon+999, noon+5*hour, noon+6*hour) {
		t.Error(got)
	}
}

func TestThisHostIsNeverListed(t *testing.T) {
	for _, client := range []string{"127.0.0.1", "::1"} {
		b := NewBook(Rules{Keep: time.Hour})
		s := at(0, "deaf")
		s.Client = netip.MustParseAddr(client)
		add(t, b, s)
		if l := b.Listed(noon); len(l) > 0 {
			t.Errorf("%+v", l)
		}
	}
}

// TestPolicy answers DUNNO to whatever Postfix asks, and hears of clients.
func TestPolicy(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "policy")} {
		ctx, cancel := context.WithCancel(t.Context())
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		seen := []string{}
		p := &Policy{Seen: func(a netip.Addr, name string) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, strings.TrimSpace(a.String()+" "+name))
		}}
		wait := p.Serve(ctx, l)
		conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		for _, request := range []string{
			"request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=203.0.113.9\nclient_name=mail.b.test\nsender=a@b.test\n\n",
			"client_address=::ffff:192.0.2.7\r\nclient_name=unknown\r\n\r\n",
			"client_address=2001:db8::7%eth0\n\n", "client_address=unknown\n\n", "\n",
		} {
			io.WriteString(conn, request)
			reply := make([]byte, len(dunno))
			if _, err := io.ReadFull(conn, reply); err != nil || string(reply) != dunno {
				t.Fatalf("%q: %q, %v", request, reply, err)
			}
		}
		mu.Lock()
		if got := fmt.Sprint(seen); got != "[203.0.113.9 mail.b.test 192.0.2.7 2001:db8::7]" {
			t.Error(got)
		}
		mu.Unlock()
		for _, request := range []string{strings.Repeat("x", 2*policyLine), strings.Repeat("a=b\n", 2*policyLines)} {
			flood, err := net.Dial(l.Addr().Network(), l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			go io.WriteString(flood, request)
			flood.SetReadDeadline(time.Now().Add(10 * time.Second))
			if n, err := flood.Read(make([]byte, 10)); n > 0 || os.IsTimeout(err) {
				t.Errorf("%.10q is answered: %v", request, err)
			}
			flood.Close()
		}
		cancel()
		wait()
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("the connection is still there")
		}
	}
}

// TestWhatIsAddedWhileTheFileIsWrittenAnewIsInIt.
func TestWhatIsAddedWhileTheFileIsWrittenAnewIsInIt(t *testing.T) {
	dir := t.TempDir()
	b := bookIn(t, dir, noon)
	b.log.size = 1 << 40 // it is mostly old
	var adding sync.WaitGroup
	for c := range 4 {
		adding.Go(func() {
			for i := range 50 {
				s := at(int64(i), "deaf")
				s.Client = netip.AddrFrom4([4]byte{10, 0, byte(c), byte(i)})
				if err := b.Add(Fact{Sighting: &s}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 20 {
		b.mu.Lock()
		b.log.size = 1 << 40
		b.mu.Unlock()
		if err := b.Compact(noon); err != nil {
			t.Fatal(err)
		}
	}
	adding.Wait()
	if again := bookIn(t, dir, noon+hour); again.sightings != 200 {
		t.Errorf("%d sightings of 200", again.sightings)
	}
}

func TestWhatIsNoFileKeepsNobodyWaiting(t *testing.T) {
	dir := t.TempDir()
	for name, make := range map[string]func(string) error{"a folder": func(p string) error { return os.Mkdir(p, 0o700) }, "a pipe": func(p string) error { return syscall.Mkfifo(p, 0o600) }} {
		path := filepath.Join(dir, name)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		b := NewBook(Rules{Keep: time.Hour})
		_, err := b.Read(path, noon+5400)
		for what, err := range map[string]error{"read": err, "written": b.Write(path, noon), "read for pardons": b.ReadPardons(path), "pardoned in": AppendPardon(path, Pardon{noon, Narrow(bot)})} {
			if err == nil || !strings.Contains(err.Error(), "is no file") {
				t.Errorf("%s is %s: %v", name, what, err)
			}
		}
	}
}

// TestPardonsStayWhereTheirFileCannotBeRead.
func TestPardonsStayWhereTheirFileCannotBeRead(t *testing.T) {
	b := NewBook(Rules{Keep: time.Hour})
	path := filepath.Join(t.TempDir(), "pardons")
	if err := errors.Join(AppendPardon(path, Pardon{noon, Narrow(bot)}), b.ReadPardons(path)); err != nil || len(b.pardons) != 1 {
		t.Fatal(b.pardons, err)
	}
	os.Remove(path)
	os.Mkdir(path, 0o700)
	if err := b.ReadPardons(path); err == nil || len(b.pardons) != 1 {
		t.Error(b.pardons, err)
	}
}

// TestKeepingNothing forgets what there is, on disk too.
func TestKeepingNothing(t *testing.T) {
	dir := t.TempDir()
	b := bookIn(t, dir, noon)
	add(t, b, at(0, "deaf"))
	b.Use(Rules{})
	add(t, b, at(1, "deaf"))
	if err := b.Compact(noon + 2*minute); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(filepath.Join(dir, "facts")); strings.Contains(string(text), "sighting") || b.sightings != 0 {
		t.Errorf("%d sightings, and the file has %s", b.sightings, text)
	}
}

// TestLongLinesAreNotWrittenAgainAndAgain: the file is large, and nothing of it is old.
func TestLongLinesAreNotWrittenAgainAndAgain(t *testing.T) {
	dir := t.TempDir()
	b := bookIn(t, dir, noon)
	for i := range int64(30) {
		s := at(i, "deaf")
		s.Helo = strings.Repeat("x", 20_000)
		add(t, b, s)
	}
	written := 0
	before, _ := os.Stat(filepath.Join(dir, "facts"))
	for range 10 {
		if err := b.Compact(noon + hour); err != nil {
			t.Fatal(err)
		}
		after, _ := os.Stat(filepath.Join(dir, "facts"))
		if !os.SameFile(before, after) {
			written++
		}
		before = after
	}
	if written > 1 {
		t.Errorf("the file was written anew %d times", written)
	}
}

func TestClientsAreReadAsAnOperatorWritesThem(t *testing.T) {
	for text, want := range map[string]string{
		"203.0.113.9": "203.0.113.9", "203.0.113.9/24": "203.0.113.0/24", "::ffff:203.0.113.9": "203.0.113.9", "::ffff:203.0.113.9/120": "203.0.113.0/24",
		"2001:db8::1": "2001:db8::1", "2001:db8::/32": "2001:db8::/32", "::/0": "::/0",
	} {
		if p, err := ParseClients(text); err != nil || Bare(p) != want {
			t.Errorf("%s: %s, %v, want %s", text, Bare(p), err, want)
		}
	}
	if _, err := ParseClients("everybody"); err == nil {
		t.Error("everybody is a client")
	}
}
