//go:build interop && linux

package interop

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// openDir is a folder that processes of other accounts come into.
func openDir(t *testing.T) string {
	dir := t.TempDir()
	for at := dir; at != filepath.Clean(os.TempDir()); at = filepath.Dir(at) {
		os.Chmod(at, 0o755)
	}
	return dir
}

// postfix is a Postfix that takes mail on loopback and sends it.
type postfix struct{ listens, conf, log string }

// newPostfix starts a Postfix that takes itself for the host of these addresses. What more is in main.cf and master.cf comes last.
func newPostfix(t *testing.T, port, addresses, more, moreMaster string) *postfix {
	dir := openDir(t)
	p := &postfix{listens: port, conf: filepath.Join(dir, "conf"), log: filepath.Join(dir, "log")}
	for _, d := range []string{p.conf, filepath.Join(dir, "spool"), filepath.Join(dir, "data")} {
		os.Mkdir(d, 0o755)
	}
	exec.Command("chown", "postfix", filepath.Join(dir, "data")).Run()
	main := fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = %[2]s
maillog_file_prefixes = %[1]s
mail_owner = postfix
setgid_group = postdrop
myhostname = sender-host.test
mydestination =
relay_domains =
inet_interfaces = 127.0.0.1%[3]s
inet_protocols = all
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_connect_timeout = 2s
smtp_helo_timeout = 10s
smtp_tls_security_level =
`, dir, p.log, addresses)
	os.WriteFile(filepath.Join(p.conf, "main.cf"), []byte(main+more), 0o644)
	master := readFile(t, "/usr/share/postfix/master.cf.dist")
	var plain []string
	for _, line := range strings.Split(master, "\n") { // no chroot: the test's resolv.conf is outside
		if f := strings.Fields(line); len(f) > 7 && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, " ") {
			f[4] = "n"
			if f[0] == "smtp" && f[1] == "inet" {
				f[0] = "127.0.0.1:" + port
			}
			line = strings.Join(f, " ")
		}
		plain = append(plain, line)
	}
	master = strings.Join(plain, "\n") + "\n" + moreMaster
	if !strings.Contains(master, "postlog ") {
		master += "postlog unix-dgram n - n - 1 postlogd\n"
	}
	os.WriteFile(filepath.Join(p.conf, "master.cf"), []byte(master), 0o644)
	if out, err := exec.Command("postfix", "-c", p.conf, "start").CombinedOutput(); err != nil {
		t.Fatalf("postfix: %v\n%s%s", err, out, readFile(t, p.log))
	}
	t.Cleanup(func() {
		exec.Command("postfix", "-c", p.conf, "abort").Run()
		if t.Failed() {
			t.Logf("Postfix said:\n%s", readFile(t, p.log))
		}
	})
	return p
}

func (p *postfix) name() string { return "Postfix" }
func (p *postfix) port() string { return p.listens }

func (p *postfix) deferred(domain string) bool {
	text, _ := os.ReadFile(p.log)
	for _, line := range strings.Split(string(text), "\n") {
		if strings.Contains(line, "to=<b@"+domain+">") && strings.Contains(line, "status=deferred") {
			return true
		}
	}
	return false
}

func (p *postfix) flush(t *testing.T) { output(t, "postqueue", "-c", p.conf, "-f") }

func (p *postfix) queued(t *testing.T) int {
	return strings.Count(output(t, "postqueue", "-c", p.conf, "-j"), "\n")
}

// exim is an Exim that takes mail on loopback and sends it.
type exim struct{ listens, program, conf, log string }

// eximVariable names the binary, which Debian does not install beside Postfix.
const eximVariable = "EXIM"

// newExim starts an Exim that takes itself for the host of these addresses.
func newExim(t *testing.T, port, addresses string) *exim { return newEximWith(t, port, addresses, "") }

// newEximWith is newExim with rules before that which takes all recipients.
func newEximWith(t *testing.T, port, addresses, rules string) *exim {
	e := &exim{listens: port, program: os.Getenv(eximVariable)}
	if e.program == "" {
		t.Fatal("set " + eximVariable + " to an exim4 binary")
	}
	dir := openDir(t)
	e.conf, e.log = filepath.Join(dir, "exim.conf"), filepath.Join(dir, "log")
	os.Mkdir(e.log, 0o777)
	os.Mkdir(filepath.Join(dir, "spool"), 0o777)
	exec.Command("chown", "-R", "9999:9999", dir).Run()
	// It starts itself again under other accounts, which its place must allow.
	binary := filepath.Join(dir, "exim4")
	output(t, "install", "-o", "root", "-g", "root", "-m", "4755", e.program, binary)
	e.program = binary
	text := fmt.Sprintf(`exim_path = %[1]s/exim4
primary_hostname = sender-host.test
spool_directory = %[1]s/spool
log_file_path = %[1]s/log/%%slog
log_selector = +all
local_interfaces = 127.0.0.1%[2]s
daemon_smtp_ports = %[3]s
acl_smtp_rcpt = take
acl_smtp_data = take
queue_run_max = 5
keep_environment =
tls_advertise_hosts =
begin acl
take:
%[4]s
  accept
begin routers
out:
  driver = dnslookup
  transport = remote
  no_more
begin transports
remote:
  driver = smtp
  connect_timeout = 2s
  hosts_avoid_tls = *
  hosts_try_chunking = :
  hosts_try_fastopen = :
  utf8_downconvert = 0
begin retry
* * F,2h,1s
`, dir, addresses, port, rules)
	os.WriteFile(e.conf, []byte(text), 0o644)
	os.Chown(e.conf, 0, 0)
	background(t, e.program, "-C", e.conf, "-bdf")
	eventually(t, "Exim takes mail", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := exec.Command("sh", "-c", "cat "+e.log+"/*").Output()
			t.Logf("Exim said:\n%s", logs)
		}
	})
	return e
}

func (e *exim) name() string { return "Exim" }
func (e *exim) port() string { return e.listens }

func (e *exim) deferred(domain string) bool {
	text, _ := os.ReadFile(filepath.Join(e.log, "mainlog"))
	return strings.Contains(string(text), "== b@"+domain)
}

func (e *exim) flush(t *testing.T) { output(t, e.program, "-C", e.conf, "-qff") }

func (e *exim) queued(t *testing.T) int {
	n, _ := strconv.Atoi(strings.TrimSpace(output(t, e.program, "-C", e.conf, "-bpc")))
	return n
}
