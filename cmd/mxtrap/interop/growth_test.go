//go:build interop

package interop

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/miekg/dns"
)

// mostGrowth is how many times the statements that are executed may be where there are twice as many of something.
const mostGrowth = 2.5

// counting is the binary with a counter for each statement, of the packages too in which a loop of ours may hide.
var counting = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "mxtrap-counting")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "mxtrap")
	out, err := exec.Command("go", "build", "-cover", "-covermode=count", "-coverpkg=mxtrap/...,slices,strings,bytes,github.com/BurntSushi/toml", "-o", path, "mxtrap/cmd/mxtrap").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

// statements is how many statements a run of the counting binary has executed.
func statements(t *testing.T, run func(cmd *exec.Cmd), args ...string) (sum int) {
	t.Helper()
	bin, err := counting()
	if err != nil {
		t.Fatal(err)
	}
	counters := t.TempDir()
	cmd := exec.Command(bin, args...)
	cmd.Env = append(os.Environ(), "GOCOVERDIR="+counters)
	run(cmd)
	text := filepath.Join(counters, "text")
	if out, err := exec.Command("go", "tool", "covdata", "textfmt", "-i="+counters, "-o="+text).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(readFile(t, text)) {
		if words := strings.Fields(line); len(words) == 3 {
			block, _ := strconv.Atoi(words[1])
			times, _ := strconv.Atoi(words[2])
			sum += block * times
		}
	}
	return sum
}

// grows has something counted for n, 2n and 4n.
func grows(t *testing.T, n int, count func(n int) int) {
	t.Helper()
	one, two, four := count(n), count(2*n), count(4*n)
	t.Logf("%d: %d statements, twice: x %.2f, four times: x %.2f", n, one, float64(two)/float64(one), float64(four)/float64(two))
	if float64(two) > mostGrowth*float64(one) || float64(four) > mostGrowth*float64(two) {
		t.Errorf("more than x %.1f", mostGrowth)
	}
}

// lines makes a text of n lines.
func lines(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, strings.ReplaceAll(format, "%", "%[1]"), i)
	}
	return b.String()
}

// TestInteropLoadingGrowsInProportion: what is loaded may be twice as much, and takes twice the work.
func TestInteropLoadingGrowsInProportion(t *testing.T) {
	const head = "name = \"example.com\"\n[records]\n\"@\" = [\"NS ns1\", \"MX 10 mail\", \"TXT \\\"v=spf1 mx -all\\\"\"]\nns1 = [\"A 192.0.2.53\"]\nmail = [\"A 192.0.2.25\"]\n"
	const masterHead = "$TTL 300\n@ SOA ns1 h 1 2 3 4 5\n@ NS ns1\n@ MX 10 mail\nmail A 192.0.2.25\nns1 A 192.0.2.1\n"
	one := func(text string) map[string]string { return map[string]string{"z.toml": text} }
	master := func(body string) map[string]string {
		return map[string]string{"z.toml": "name = \"example.com\"\nfile = \"z.zone\"\n", "z.zone": masterHead + body}
	}
	at := func(n int) string { return "[trap]\nat = [" + strings.TrimSuffix(lines(n, `"d%d",`), ",") + "]\n" }
	random := rand.New(rand.NewPCG(1, 1))
	deep := func() (owner string) {
		for range 100 {
			owner += string(rune('a'+random.IntN(26))) + "."
		}
		return strings.TrimSuffix(owner, ".")
	}
	for name, c := range map[string]struct {
		n     int
		files func(n int) map[string]string
	}{
		"owners": {2000, func(n int) map[string]string { return one(head + lines(n, "h%d = [\"A 192.0.2.1\"]\n")) }},
		"owners that the library reads": {2000, func(n int) map[string]string {
			return one(head + "\"\\u0061x\" = [\"A 192.0.2.1\"]\n" + lines(n, "h%d = [\"A 192.0.2.1\"]\n"))
		}},
		"records of a master file":   {5000, func(n int) map[string]string { return master(lines(n, "h%d A 192.0.2.1\n")) }},
		"records that are generated": {5000, func(n int) map[string]string { return master(fmt.Sprintf("$GENERATE 1-%d g$ A 192.0.2.1\n", n)) }},
		"records of one set":         {800, func(n int) map[string]string { return master(addresses(n)) }},
		"elements of a list":         {800, func(n int) map[string]string { return one(head + "x = [" + lines(n, "\"TXT t%d\",") + "]\n") }},
		"included files": {100, func(n int) map[string]string {
			files := master(lines(n, "$INCLUDE i%d.zone\n"))
			for i := range n {
				files[fmt.Sprintf("i%d.zone", i)] = fmt.Sprintf("h%d A 192.0.2.1\n", i)
			}
			return files
		}},
		"deep names": {300, func(n int) map[string]string {
			body := ""
			for range n {
				body += deep() + " A 192.0.2.1\n"
			}
			return master(body)
		}},
		"delegations": {1000, func(n int) map[string]string { return master(lines(n, "c%d NS ns.c%d\nns.c%d A 192.0.2.1\n")) }},
		"wildcards": {1000, func(n int) map[string]string {
			return one(head + lines(n, "\"*.w%d\" = [\"MX 10 mail\"]\n") + "[trap]\n")
		}},
		"trapped owners": {1000, func(n int) map[string]string { return one(head + lines(n, "d%d = [\"MX 10 mail\"]\n") + at(n)) }},
		"trapped owners with addresses": {1000, func(n int) map[string]string {
			return one(head + lines(n, "d%d = [\"MX 10 mail\"]\n") + at(n) + "addresses = [\"10.0.0.0/8\"]\n")
		}},
		"covers": {500, func(n int) map[string]string {
			return one(head + lines(n, "d%d = [\"MX 10 m%d.other.test.\"]\n") + at(n) + "cover = true\n[trap.covers]\n" + lines(n, "\"m%d.other.test\" = [\"198.51.100.1\"]\n"))
		}},
		"SPF records": {500, func(n int) map[string]string {
			return one(head + lines(n, "d%d = [\"MX 10 mail\", \"TXT \\\"v=spf1 mx include:d1.example.com -all\\\"\"]\n") + at(n) + "count = 8\n")
		}},
		"faults": {1000, func(n int) map[string]string { return one(head + lines(n, "h%d = [\"A bad\"]\n")) }},
		"zones": {500, func(n int) map[string]string {
			return zonesOf(n, func(i int) string { return fmt.Sprintf("z%d.test", i) }, head+"[trap]\n")
		}},
		"zones of one name": {500, func(n int) map[string]string {
			return zonesOf(n, func(i int) string { return fmt.Sprintf("z%d.test", i/2) }, head)
		}},
		"zones below a trapped one": {500, func(n int) map[string]string {
			files := zonesOf(n, func(i int) string { return fmt.Sprintf("z%d.example.com", i) }, head)
			files["z.toml"] = head + "[trap]\ncount = 100\n"
			return files
		}},
		"zones that shadow a trap": {400, func(n int) map[string]string {
			files := zonesOf(n, func(i int) string { return fmt.Sprintf("mx%d.p%d.test", 1+i%100, i/100) }, head)
			for i := range n/100 + 1 {
				files[fmt.Sprintf("p%d.toml", i)] = strings.Replace(head, "example.com", fmt.Sprintf("p%d.test", i), 1) + "[trap]\ncount = 100\n"
			}
			return files
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			grows(t, c.n, func(n int) int {
				dir := t.TempDir()
				os.Mkdir(filepath.Join(dir, "zones"), 0o755)
				config := write(t, dir, "mxtrap.toml", "[server]\nzones = [\"zones/*.toml\"]\n")
				for name, text := range c.files(n) {
					write(t, dir, "zones/"+name, text)
				}
				return statements(t, func(cmd *exec.Cmd) { cmd.Run() }, "check", "--config", config) // some have faults
			})
		})
	}
}

// addresses is n A records of one owner.
func addresses(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "x A 10.0.%d.%d\n", i>>8, i&255)
	}
	return b.String()
}

// zonesOf are n zone files.
func zonesOf(n int, name func(i int) string, text string) map[string]string {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("z%d.toml", i)] = strings.Replace(text, "example.com", name(i), 1)
	}
	return files
}

// TestInteropTheFirstFetchOfACatalogGrowsInProportion to its members.
func TestInteropTheFirstFetchOfACatalogGrowsInProportion(t *testing.T) {
	grows(t, 1000, func(n int) int {
		listener := &dns.Server{Addr: "127.0.0.1:" + freePort(t), Net: "tcp", Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			name := q.Question[0].Name
			reply := new(dns.Msg).SetReply(q)
			soa, _ := dns.NewRR(name + " 60 SOA ns.example. h.example. 1 86400 86400 864000 60")
			reply.Answer = append(reply.Answer, soa)
			body := name + " 60 MX 10 mail.example.\n"
			if name == "catalog.test." {
				body = "version.catalog.test. 0 TXT 2\n" + lines(n, "u%d.zones.catalog.test. 0 PTR z%d.test.\n")
			}
			for line := range strings.Lines(name + " 60 NS ns.example.\n" + body) {
				r, err := dns.NewRR(line)
				if err != nil {
					t.Error(err)
				}
				if reply.Answer = append(reply.Answer, r); len(reply.Answer) == 500 {
					w.WriteMsg(reply)
					reply.Answer = nil
				}
			}
			reply.Answer = append(reply.Answer, soa)
			w.WriteMsg(reply)
		})}
		go listener.ListenAndServe()
		defer listener.Shutdown()
		dir := t.TempDir()
		primary := fmt.Sprintf("[primary]\naddress = [%q]\n", listener.Addr)
		config := write(t, dir, "mxtrap.toml", fmt.Sprintf("[server]\nlisten = [\"127.0.0.1:%s\"]\nmetrics = \"\"\nstate = \"state\"\nzones = [\"catalog.toml\"]\n", freePort(t)))
		write(t, dir, "catalog.toml", "name = \"catalog.test\"\n"+primary+"[catalog]\ntemplate = \"member.toml\"\n")
		write(t, dir, "member.toml", primary)
		return statements(t, func(cmd *exec.Cmd) {
			var log buffer
			cmd.Stderr = &log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if t.Failed() {
					t.Log(log.String())
				}
			}()
			eventually(t, "all zones came", func() bool { return strings.Count(log.String(), "transferred a zone from its primary") > n })
			cmd.Process.Signal(syscall.SIGTERM)
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
		}, "serve", "--config", config)
	})
}
