//go:build interop && linux

package interop

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mxtrap/server"
	"mxtrap/server/health"
	"mxtrap/zone/conf"
)

// fastVariable names the server file of a server whose real exchanges count as well at once, with their port behind a comma.
const fastVariable = "MXTRAP_TEST_FAST"

// TestServeFast is such a server, for benchmarks: a process of its own.
func TestServeFast(t *testing.T) {
	path, port, ok := strings.Cut(os.Getenv(fastVariable), ",")
	if !ok {
		t.Skip("runs for benchmarks alone")
	}
	var report conf.Report
	config := server.ReadConfig(path, &report)
	if config == nil {
		t.Fatal(report.Problems())
	}
	n, _ := strconv.ParseUint(port, 10, 16)
	s, err := server.New(context.Background(), config, server.Options{
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Notify: func(server.Event) {}, MailPort: uint16(n),
		Health: health.Tempo{Every: 5 * time.Second, Settle: 10 * time.Second, Look: time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Run(context.Background(), nil)
}

// session holds an SMTP session of a client through a recipient, and says what that was answered.
func session(addr string, client int, room *bufio.Reader) (string, error) {
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(client>>8), byte(client))}}
	conn, err := from.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	room.Reset(conn)
	reply := ""
	hear := func() error {
		for {
			line, err := room.ReadSlice('\n')
			if err != nil {
				return fmt.Errorf("after %q: %w", reply, err)
			}
			if len(line) < 4 || line[3] != '-' {
				reply = strings.TrimSpace(string(line))
				return nil
			}
		}
	}
	if err := hear(); err != nil {
		return "", err
	}
	for _, line := range []string{"EHLO a.test\r\n", "MAIL FROM:<a@b.test>\r\n", "RCPT TO:<c@a.test>\r\n"} {
		if _, err := conn.Write([]byte(line)); err != nil {
			return "", err
		}
		if err := hear(); err != nil {
			return "", err
		}
	}
	return reply[:3], nil
}

// spent is the processor time that a process has taken.
func spent(b *testing.B, pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ
}

// BenchmarkCatch has sessions go through a recipient at the catch, and at postscreen, each on the first processor alone; a thousand clients at
// a time wait a second before each greeting. What counts is the processor time of a session.
func BenchmarkCatch(b *testing.B) {
	measure := func(b *testing.B, addr string, pid int, want, log string) {
		before, began := spent(b, pid), time.Now()
		var left, other atomic.Int64
		left.Store(int64(b.N))
		var clients sync.WaitGroup
		for client := range min(b.N, 6000) {
			clients.Go(func() {
				room := bufio.NewReader(nil)
				for left.Add(-1) >= 0 {
					if reply, err := session(addr, client, room); err != nil || reply != want {
						if other.Add(1) == 1 {
							b.Logf("a session ends with %q, %v", reply, err)
						}
					}
				}
			})
		}
		clients.Wait()
		took := time.Since(began)
		b.ReportMetric(float64((spent(b, pid)-before).Microseconds())/float64(b.N), "cpu-us/session")
		b.ReportMetric(float64(b.N)/took.Seconds(), "sessions/s")
		b.ReportMetric(float64(other.Load()), "others")
		if text, err := os.ReadFile(log); err == nil && other.Load() > 0 {
			for line := range strings.Lines(string(text)) {
				if !strings.Contains(line, "msg=catch ") {
					b.Log(strings.TrimSpace(line))
				}
			}
		}
	}
	port, real := freeBenchPort(b), freeBenchPort(b)
	b.Run("mxtrap", func(b *testing.B) {
		dir := b.TempDir()
		os.WriteFile(filepath.Join(dir, "a.toml"), []byte("name = \"a.test\"\n[records]\n\"@\" = [\"NS ns1\", \"MX 10 mail\"]\nns1 = [\"A 127.0.0.53\"]\nmail = [\"A 127.0.0.25\"]\n[trap]\ncount = 1\naddresses = [\"127.0.0.26\"]\n"), 0o644)
		config := filepath.Join(dir, "mxtrap.toml")
		os.WriteFile(config, []byte(fmt.Sprintf("[server]\nlisten = []\nmetrics = \"\"\nzones = [\"a.toml\"]\nstate = \"state\"\nresolver = [\"127.0.0.1:9\"]\n[catch]\nlisten = [\"127.0.0.26:%s\"]\npause = \"1s\"\n", port)), 0o644)
		l, err := net.Listen("tcp", "127.0.0.25:"+real)
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					fmt.Fprint(conn, "220 a\r\n")
					for in := bufio.NewScanner(conn); in.Scan() && in.Text() != "QUIT"; {
						fmt.Fprint(conn, "250 a\r\n")
					}
					fmt.Fprint(conn, "221 a\r\n")
				}()
			}
		}()
		log, _ := os.Create(filepath.Join(dir, "log"))
		cmd := exec.Command("taskset", "-c", "0", os.Args[0], "-test.run", "^TestServeFast$")
		cmd.Env = append(os.Environ(), fastVariable+"="+config+","+real)
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		defer cmd.Wait()
		defer cmd.Process.Kill()
		addr := "127.0.0.26:" + port
		ready(b, addr, "451", log.Name())
		b.ResetTimer()
		measure(b, addr, cmd.Process.Pid, "451", log.Name())
	})
	b.Run("postscreen", func(b *testing.B) {
		dir := b.TempDir()
		for at := dir; at != filepath.Clean(os.TempDir()); at = filepath.Dir(at) {
			os.Chmod(at, 0o755)
		}
		for _, d := range []string{"conf", "spool", "data"} {
			os.Mkdir(filepath.Join(dir, d), 0o755)
		}
		exec.Command("chown", "postfix", filepath.Join(dir, "data")).Run()
		os.WriteFile(filepath.Join(dir, "conf", "main.cf"), []byte(fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
mail_owner = postfix
setgid_group = postdrop
myhostname = a.test
mydestination = a.test
inet_interfaces = 127.0.0.1
default_process_limit = 10000
smtpd_client_connection_count_limit = 0
postscreen_client_connection_count_limit = 0
postscreen_pre_queue_limit = 10000
postscreen_access_list =
postscreen_greet_wait = 1s
postscreen_greet_action = enforce
postscreen_pipelining_enable = yes
postscreen_cache_map =
`, dir)), 0o644)
		os.WriteFile(filepath.Join(dir, "conf", "master.cf"), []byte(fmt.Sprintf("127.0.0.1:%s inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\ndnsblog unix - - n - 0 dnsblog\ntlsproxy unix - - n - 0 tlsproxy\npostlog unix-dgram n - n - 1 postlogd\nanvil unix - - n - 1 anvil\nscache unix - - n - 1 scache\ntlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\n", port)), 0o644)
		if out, err := exec.Command("taskset", "-c", "0", "postfix", "-c", filepath.Join(dir, "conf"), "start").CombinedOutput(); err != nil {
			b.Skipf("%v: %s", err, out)
		}
		defer exec.Command("postfix", "-c", filepath.Join(dir, "conf"), "abort").Run()
		addr := "127.0.0.1:" + port
		ready(b, addr, "450", filepath.Join(dir, "log"))
		out, _ := exec.Command("pgrep", "-n", "-x", "postscreen").Output()
		pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
		if err != nil {
			b.Fatal("no process of postscreen")
		}
		b.ResetTimer()
		measure(b, addr, pid, "450", filepath.Join(dir, "log"))
	})
}

func ready(b *testing.B, addr, want, log string) {
	var reply string
	var err error
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		if reply, err = session(addr, 0, bufio.NewReader(nil)); reply == want {
			return
		}
	}
	text, _ := os.ReadFile(log)
	b.Fatalf("%s: %q, %v\n%s", addr, reply, err, text)
}

func freeBenchPort(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
