//go:build interop && linux

package interop

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// TestInteropSocketActivation hands open sockets over as systemd does: mxtrap answers what came before it was there.
func TestInteropSocketActivation(t *testing.T) {
	address := "127.0.0.1:" + freePort(t)
	socket, err := net.ListenPacket("udp4", address)
	if err != nil {
		t.Fatal(err)
	}
	udp := socket.(*net.UDPConn)
	defer udp.Close()
	tcp, err := net.Listen("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	early, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	question := new(dns.Msg).SetQuestion("example.com.", dns.TypeMX)
	packet, _ := question.Pack()
	early.Write(packet)

	dir := openFolder(t)
	write(t, dir, "a.toml", interopZone)
	config := write(t, dir, "mxtrap.toml", fmt.Sprintf("[server]\nlisten = [%q]\nmetrics = \"\"\nzones = [\"a.toml\"]\n", address))
	u, _ := udp.File()
	l, _ := tcp.(*net.TCPListener).File()
	defer u.Close()
	defer l.Close()
	p := &program{cmd: exec.Command("sh", "-c", `export LISTEN_PID=$$ LISTEN_FDS=2; exec "$0" serve --config "$1"`, buildOnce(t), config), out: &buffer{}}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.ExtraFiles = p.out, p.out, []*os.File{u, l}
	p.run(t)
	reply, err := (&dns.Conn{Conn: early}).ReadMsg()
	if err != nil || len(reply.Answer) != 4 {
		t.Errorf("%v\n%v\n%s", err, reply, p.out)
	}
	for _, network := range []string{"udp", "tcp"} {
		reply, _, err := (&dns.Client{Net: network}).Exchange(question, address)
		if err != nil || len(reply.Answer) != 4 {
			t.Errorf("%s: %v\n%v", network, err, reply)
		}
	}
}

// TestInteropRootGivesItsRightsUp binds as root, and serves as nobody.
func TestInteropRootGivesItsRightsUp(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir := openFolder(t)
	static := filepath.Join(dir, "mxtrap")
	build := exec.Command("go", "build", "-o", static, "mxtrap/cmd/mxtrap")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	port := freePort(t)
	write(t, dir, "a.toml", interopZone)
	config := write(t, dir, "mxtrap.toml", fmt.Sprintf("[server]\nlisten = [\"127.0.0.1:%s\"]\nmetrics = \"\"\nzones = [\"a.toml\"]\nuser = \"nobody\"\n", port))
	p := background(t, static, "serve", "--config", config)
	eventually(t, "mxtrap serves", func() bool { return strings.Contains(p.out.String(), "msg=serving") })
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.cmd.Process.Pid))
	if len(tasks) < 2 {
		t.Fatal(tasks)
	}
	for _, task := range tasks {
		wantLines(t, task, readFile(t, task), `^Uid:\s+65534\s+65534\s+65534\s+65534$`, `^Gid:\s+65534\s+65534\s+65534\s+65534$`, `^Groups:\s+65534\s*$`, `^CapEff:\s+0+$`, `^NoNewPrivs:\s+1$`)
	}
	output(t, "dig", "@127.0.0.1", "-p", port, "example.com", "MX")
	bad := strings.NewReplacer("nobody", "nobody-there", port, freePort(t)).Replace(readFile(t, config))
	wantLines(t, "mxtrap", said(t, static, "serve", "--config", write(t, dir, "bad.toml", bad)), `server\.user: \\"nobody-there\\"`)
}
