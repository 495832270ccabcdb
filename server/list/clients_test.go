package list

import (
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mxtrap/server/judge"
	"mxtrap/zone/conf"
)

// deaf is a sighting that lists its client at once.
func deaf(client string, at int64, decoys ...string) judge.Sighting {
	return judge.Sighting{At: at, Client: netip.MustParseAddr(client), Owner: "a.test", Decoy: strings.Join(decoys, ""), Tried: true, Data: true}
}

// TestABusyBotIsNotToldAnewAtEachOfItsSessions: each would change the zone, and make secondaries fetch it.
func TestABusyBotIsNotToldAnewAtEachOfItsSessions(t *testing.T) {
	k := NewKeeper(judge.Rules{Keep: 30 * 24 * time.Hour}, time.Now, nil, slog.New(slog.DiscardHandler))
	defer k.Close()
	const begin, day = 1_000_000, 24 * 3600
	told := func(now int64) string {
		t.Helper()
		clients, ok := k.Clients(now)
		if !ok || len(clients) > 1 {
			t.Fatal(clients, ok)
		}
		if len(clients) == 0 {
			return ""
		}
		return clients[0].Text
	}
	sees := func(at int64) {
		s := deaf("203.0.113.7", at, "mx2.a.test")
		k.Book.Add(judge.Fact{Sighting: &s})
	}
	sees(begin)
	first := told(begin + 10)
	if want := "went on to DATA though every recipient was refused; at mx2.a.test, 1970-01-12 13:46:40 UTC; listed until 1970-01-13 13:46:40 UTC"; first != want {
		t.Errorf("%q, want %q", first, want)
	}
	sees(begin + 3600)
	if again := told(begin + 3610); again != first {
		t.Errorf("an hour later: %q", again)
	}
	if again := told(begin + day - 1800); again == first || again == "" {
		t.Errorf("before the end of what was told: %q", again)
	}
	if again := told(begin + 3600 + day - lastSeconds); again != "" {
		t.Errorf("just before the end: %q", again)
	}
}

// TestNobodyIsKnownUntilTheFileIsRead: to list nobody meanwhile would pardon all.
func TestNobodyIsKnownUntilTheFileIsRead(t *testing.T) {
	k := NewKeeper(judge.Rules{Keep: time.Hour}, time.Now, nil, slog.New(slog.DiscardHandler))
	defer k.Close()
	k.folder = "held" // as Open does before it reads
	if _, ok := k.Clients(0); ok {
		t.Error("known before it was read")
	}
	k.folder = ""
	k.Open(t.TempDir())
	<-k.Known()
	if _, ok := k.Clients(0); !ok {
		t.Error("not known though it was read")
	}
}

func TestConfiguration(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`zone = "bl.example.com"`, ""},
		{`zone = "bl..example.com"`, `zone: "bl..example.com"`},
		{`zone = "` + strings.Repeat("long.", 40) + `"`, "is no name for a DNSBL"},
		{`zone = "."`, "is no name for a DNSBL"},
		{`allow = ["192.0.2.0/24", "2001:db8::1"]`, ""},
		{`allow = ["192.0.2.1/24"]`, "write 192.0.2.0/24"},
		{`mode = "block"`, "must be observe or list"},
		{`exempt = ["mail"]`, "is no address or prefix"},
		{`policy = "10040"`, "is no address with a port"},
		{`zones = "bl.example.com"`, "zones"},
	} {
		var report conf.Report
		ConfigOf(conf.Parse("m.toml", []byte("[list]\n"+c.text+"\n"), &report).Table("list"), func(path string) string { return filepath.Join("/etc", path) })
		got := ""
		for _, p := range report.Problems() {
			got += p.String()
		}
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.text, got, c.want)
		}
	}
}
