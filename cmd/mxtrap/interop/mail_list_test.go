//go:build interop && linux

package interop

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// dnsblIP is where the DNSBL is served.
const dnsblIP = "192.0.2.54"

// recipe is a block of the guide, for the DNSBL of the test.
func recipe(t *testing.T, name string) string {
	t.Helper()
	return strings.ReplaceAll(block(t, "DECOYS.md", name), "bl.example.com", "bl.test")
}

// block is one of a document, by what stands behind its fence.
func block(t *testing.T, document, name string) string {
	t.Helper()
	m := regexp.MustCompile("(?ms)^```" + regexp.QuoteMeta(name) + "\n(.*?)^```").FindStringSubmatch(readFile(t, "../../../configs/"+document))
	if m == nil {
		t.Fatalf("%s has no block %q", document, name)
	}
	return m[1]
}

// asked has mail software ask the DNSBL as the guide says: each turns away a bot that is listed, and takes mail from another client. A bot that
// was turned away is no visitor; its neighbour that comes is one.
func (h *mailHost) asked(t *testing.T) {
	const other = fallbackIP // a client that nobody has seen
	state := sightedIn(t, clientIP)
	m := &instance{port: "53", metricsPort: "9154"}
	startInstance(t, m, fmt.Sprintf("[server]\nlisten = [\"%s:53\"]\nmetrics = \"127.0.0.1:9154\"\nstate = %q\n[list]\nmode = \"list\"\nzone = \"bl.test\"\nallow = [\"%s\"]\npolicy = \"127.0.0.1:10040\"\n", dnsblIP, state, dnsblIP),
		map[string]string{"a.toml": "name = \"a.invalid\"\n[records]\n\"@\" = [\"NS ns1\"]\nns1 = [\"A 192.0.2.54\"]\n"})
	listed := func(by string) bool {
		reverse, _ := dns.ReverseAddr(clientIP)
		reply, err := dns.Exchange(new(dns.Msg).SetQuestion(strings.TrimSuffix(reverse, "in-addr.arpa.")+"bl.test.", dns.TypeA), by+":53")
		return err == nil && len(reply.Answer) == 1
	}
	eventually(t, "unbound knows whom mxtrap lists", func() bool { return listed("127.0.0.1") })
	takes := "mynetworks =\nsmtpd_relay_restrictions = reject_unauth_destination\nsmtpd_recipient_restrictions =\nrelay_domains = s0.test\n"
	smtpd := newPostfix(t, "2533", "", takes+recipe(t, "main.cf smtpd"), "")
	screen := newPostfix(t, "2534", "", takes+"postscreen_greet_wait = 1s\npostscreen_cache_map = internal:x\npostscreen_access_list =\npostscreen_dnsbl_min_ttl = 1s\n"+recipe(t, "main.cf postscreen"),
		"2535 inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\ndnsblog unix - - n - 0 dnsblog\n")
	exim := newEximWith(t, "2536", "", recipe(t, "exim.conf"))
	offer := func(from, port string) string {
		t.Helper()
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}).Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		in := bufio.NewReader(conn)
		hear := func() (reply string) {
			for {
				line, err := in.ReadString('\n')
				if reply += strings.TrimSpace(line) + " "; err != nil || len(line) > 3 && line[3] == ' ' {
					return reply
				}
			}
		}
		said := hear()
		for _, line := range []string{"EHLO a.test", "MAIL FROM:<a@sender.test>", "RCPT TO:<b@s0.test>"} {
			fmt.Fprintf(conn, "%s\r\n", line)
			said = hear()
		}
		fmt.Fprint(conn, "QUIT\r\n")
		return said
	}
	hosts := []struct{ name, port, refusal string }{
		{"reject_rbl_client", smtpd.port(), "blocked using bl.test; went on to DATA"}, {"postscreen", "2535", "blocked using bl.test"}, {"Exim", exim.port(), "is listed at bl.test: "},
	}
	told := h.readsLogs(t, map[string]func(client string){
		smtpd.log:             func(client string) { offer(client, smtpd.port()) },
		screen.log:            func(client string) { offer(client, "2535") },
		exim.log + "/mainlog": func(client string) { offer(client, exim.port()) },
	})
	for _, host := range hosts {
		if said := offer(clientIP, host.port); !strings.HasPrefix(said, "5") || !strings.Contains(said, host.refusal) {
			t.Errorf("%s says to a bot that is listed: %s", host.name, said)
		}
		if said := offer(other, host.port); !strings.HasPrefix(said, "250") {
			t.Errorf("%s says to another client: %s", host.name, said)
		}
	}
	if got := h.rspamd(t, clientIP); !strings.Contains(got, "MXTRAP_DEAF") {
		t.Errorf("rspamd finds of a bot that is listed\n%s", got)
	}
	if got := h.rspamd(t, other); strings.Contains(got, "MXTRAP") {
		t.Errorf("rspamd finds of another client\n%s", got)
	}
	if out := said(t, binary, "list", "show", "--config", m.config(), clientIP); strings.Contains(out, "came to a real host") {
		t.Errorf("a bot that was turned away counts as a visitor:\n%s", out)
	}
	neighbour := strings.TrimSuffix(clientIP, "7") + "200"
	visits(t, "10040", neighbour)
	eventually(t, "a visit of its neighbour pardons the bot", func() bool { return !listed(dnsblIP) })
	told()
}

// readsLogs has a mxtrap read the log of each mail host while a client of its own comes there. The function that it returns waits until it knows
// of each that somebody came.
func (h *mailHost) readsLogs(t *testing.T, hosts map[string]func(client string)) (wait func()) {
	t.Helper()
	var waits []func()
	for log, comes := range hosts {
		network := fmt.Sprintf("198.18.%d.", len(waits))
		output(t, "ip", "addr", "add", network+"1/32", "dev", "lo")
		m := &instance{}
		startInstance(t, m, fmt.Sprintf("[server]\nlisten = [\"%s:%s\"]\nmetrics = \"\"\nstate = %q\n[list]\nlog = %q\n", dnsblIP, freePort(t), sightedIn(t, network+"66"), log),
			map[string]string{"a.toml": "name = \"a.invalid\"\n[records]\n\"@\" = [\"NS ns1\"]\nns1 = [\"A 192.0.2.54\"]\n"})
		eventually(t, "mxtrap reads the log", func() bool { return strings.Contains(m.out.String(), "reading visits from a mail log") })
		time.Sleep(2 * time.Second) // it looks at the file each second
		comes(network + "1")
		waits = append(waits, func() {
			for until := time.Now().Add(90 * time.Second); ; time.Sleep(time.Second) {
				facts := said(t, binary, "list", "show", "--config", m.config(), network+"66")
				if strings.Contains(facts, "somebody of "+network+"0/24 came to a real host") {
					return
				}
				if time.Now().After(until) {
					t.Errorf("%s tells of nobody:\n%s\n%s", log, facts, readFile(t, log))
					return
				}
			}
		})
	}
	return func() {
		for _, wait := range waits {
			wait()
		}
	}
}

// rspamd are the symbols that rspamd finds for a message of a client, with the guide's list.
func (h *mailHost) rspamd(t *testing.T, client string) string {
	t.Helper()
	return rspamdFinds(t, client, `modules { path = "/usr/share/rspamd/plugins/rbl.lua"; }
rbl {
`+recipe(t, "rbl.conf")+"}\n")
}

// rspamdFinds are the symbols that rspamd finds for a message of a client, with some more of its settings.
func rspamdFinds(t *testing.T, client, more string) string {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	config := write(t, dir, "rspamd.conf", fmt.Sprintf(`
options {
  pidfile = "%[1]s/pid";
  dns { nameserver = ["127.0.0.1:53"]; }
  tempdir = "%[1]s";
  disable_hyperscan = true;
  local_addrs = [];
  filters = "";
  url_tld = "/usr/share/rspamd/effective_tld_names.dat";
}
logging { type = "console"; level = "warning"; }
worker "normal" { bind_socket = "127.0.0.1:%[2]s"; count = 1; }
%[3]s`, dir, port, more))
	message := write(t, dir, "message", "From: a@sender.test\nTo: b@s0.test\nSubject: x\n\nhello\n")
	background(t, "rspamd", "-f", "-i", "-c", config)
	var found []byte
	eventually(t, "rspamd judges", func() bool {
		var err error
		found, err = exec.Command("rspamc", "-h", "127.0.0.1:"+port, "-i", client, "symbols", message).CombinedOutput()
		return err == nil && strings.Contains(string(found), "Action:")
	})
	os.Remove(message)
	return string(found)
}
