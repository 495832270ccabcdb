package catch

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what came out into the golden files")

// siteOfTests is an address that decoys of two domains have.
func siteOfTests() *Site {
	return NewSite([]Decoy{
		{Host: "mx2.example.com", Owner: "example.com", Zone: "example.com"}, {Host: "mx9.example.org", Owner: "mail.example.org", Zone: "example.org"},
	}, func() bool { return true })
}

func newDialogue(d Detail) *dialogue {
	site := siteOfTests()
	return &dialogue{hostname: "mx2.example.com", detail: detailOf(d, func() []byte { return []byte("key") }), seen: Sighting{site: site, Decoy: site.Decoys[0], Client: netip.MustParseAddrPort("203.0.113.9:4711")}}
}

// TestDialogues plays the sessions under testdata: lines that begin with C: are the client's, and what follows is what the catch says, and in
// the end what it noted.
func TestDialogues(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.smtp")
	if len(files) == 0 {
		t.Fatal("no sessions")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".smtp"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			d := newDialogue(Full)
			over := false
			for line := range strings.Lines(string(text)) {
				said, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "C: ")
				switch {
				case strings.HasPrefix(line, "#"):
					out.WriteString(line)
				case ok && over:
					t.Fatalf("the session is over before %q", said)
				case ok:
					var reply string
					reply, over = d.reply([]byte(said + "\r"))
					fmt.Fprintf(&out, "C: %s\n", said)
					for r := range strings.Lines(reply) {
						fmt.Fprintf(&out, "S: %s\n", strings.TrimSuffix(r, "\r\n"))
					}
				}
			}
			s := d.seen
			fmt.Fprintf(&out, "= %s decoy=%s helo=%q sender=%q recipients=%q\n", s.Rung(), s.Decoy.Host, s.Helo, s.Sender, s.Recipients)
			if *update {
				os.WriteFile(file, []byte(out.String()), 0o644)
			} else if out.String() != string(text) {
				t.Errorf("got\n%s\nwant\n%s", out.String(), text)
			}
		})
	}
}

func TestRecipientsAreToldAsTheOperatorWants(t *testing.T) {
	for detail, want := range map[Detail]string{Full: "bob@example.com", Domains: "example.com", Hashed: "3833c030dcb7@example.com"} {
		d := newDialogue(detail)
		d.reply([]byte("MAIL FROM:<a@b.test>"))
		d.reply([]byte("RCPT TO:<bob@Example.COM>"))
		if got := d.seen.Recipients; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", detail, got, want)
		}
	}
}

// FuzzDialogue holds every reply to be 2xx or 4xx, whole lines that are short, and never 354; a session to end in time; and what is noted to
// be bounded.
func FuzzDialogue(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.smtp")
	for _, file := range files {
		text, _ := os.ReadFile(file)
		f.Add(bytes.ReplaceAll(text, []byte("C: "), nil))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d := newDialogue(Full)
		n := 0
		for line := range bytes.Lines(text) {
			reply, over := d.reply(line[:min(len(line), maxLine)])
			n++
			rows := strings.SplitAfter(reply, "\r\n")
			if rows[len(rows)-1] != "" || len(rows) < 2 {
				t.Fatalf("%q: %q is not whole lines", line, reply)
			}
			for i, row := range rows[:len(rows)-1] {
				more := " "
				if i < len(rows)-2 {
					more = "-"
				}
				if row[0] != '2' && row[0] != '4' || row[3:4] != more || len(row) > 512 || strings.Contains(row[:len(row)-2], "\r") {
					t.Fatalf("%q: %q", line, reply)
				}
			}
			if over != (strings.HasPrefix(reply, "221") || strings.HasPrefix(reply, "421")) {
				t.Fatalf("%q: over %v after %q", line, over, reply)
			}
			if over {
				break
			}
		}
		if n > maxCommands+1 {
			t.Fatalf("%d commands", n)
		}
		size := len(d.seen.Helo) + len(d.seen.Sender)
		for _, r := range d.seen.Recipients {
			size += len(r)
		}
		if size > (2+2*maxCommands)*3*maxNoted {
			t.Fatalf("%d octets are noted", size)
		}
		if r := d.seen.Rung(); r >= E3 && (d.seen.Sender == "" && !bytes.Contains(bytes.ToUpper(text), []byte("MAIL"))) {
			t.Fatalf("%s without a sender", r)
		}
	})
}
