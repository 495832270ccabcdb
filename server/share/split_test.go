//go:build interop && linux

package share

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"
)

// insideVariable says to the test that it runs in namespaces of its own.
const insideVariable = "MXTRAP_TEST_INSIDE"

// host is a network namespace with a redis-server and a Sentinel, tied to the others by a bridge.
type host struct {
	name, ip string
}

func sh(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.Command("sh", "-ec", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// dial connects from the host's namespace.
func (h host) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(own)
	there, err := unix.Open("/run/netns/"+h.name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(there)
	if err := unix.Setns(there, unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	defer unix.Setns(own, unix.CLONE_NEWNET)
	return (&net.Dialer{Timeout: 300 * time.Millisecond}).DialContext(ctx, network, addr)
}

// cut drops all packets between a host and the others, and mend lets them pass again.
func (h host) cut(t *testing.T)  { sh(t, "ip link set v-"+h.name+" nomaster") }
func (h host) mend(t *testing.T) { sh(t, "ip link set v-"+h.name+" master br0") }

// start runs a program in the host's namespace until the test ends.
func (h host) start(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("ip", append([]string{"netns", "exec", h.name}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
}

// TestInteropASplitNetwork cuts the host of the master off, with a server of the fleet on it: Sentinel makes another one the master. On neither
// side anybody is listed who would not be otherwise, and what was seen on both counts when the network is whole again.
func TestInteropASplitNetwork(t *testing.T) {
	if os.Getenv(insideVariable) == "" {
		cmd := exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", os.Args[0], "-test.run", "^TestInteropASplitNetwork$", "-test.v")
		cmd.Env = append(os.Environ(), insideVariable+"=1")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			t.Error(err)
		}
		return
	}
	sh(t, "mount -t tmpfs none /run; mkdir /run/netns; ip link set lo up; ip link add br0 type bridge; ip link set br0 up; ip addr add 10.9.0.254/24 dev br0")
	var hosts []host
	var sentinels []string
	for i := range 3 {
		h := host{fmt.Sprintf("h%d", i+1), fmt.Sprintf("10.9.0.%d", i+1)}
		sh(t, fmt.Sprintf(`ip netns add %[1]s
ip link add v-%[1]s type veth peer name eth0 netns %[1]s
ip link set v-%[1]s master br0 up
ip netns exec %[1]s ip link set lo up
ip netns exec %[1]s ip addr add %[2]s/24 dev eth0
ip netns exec %[1]s ip link set eth0 up`, h.name, h.ip))
		hosts, sentinels = append(hosts, h), append(sentinels, h.ip+":26379")
	}
	for i, h := range hosts {
		more := []string{}
		if i > 0 {
			more = []string{"--replicaof", hosts[0].ip, "6379"}
		}
		// A master whom no replica hears takes no facts: they wait at the server that has them.
		h.start(t, append([]string{"redis-server", "--bind", h.ip, "--port", "6379", "--dir", t.TempDir(), "--save", "", "--protected-mode", "no", "--min-replicas-to-write", "1", "--min-replicas-max-lag", "2", "--repl-timeout", "5"}, more...)...)
		conf := writeFile(t, "sentinel.conf", fmt.Sprintf("bind %s\nport 26379\nprotected-mode no\nsentinel monitor traps %s 6379 2\nsentinel down-after-milliseconds traps 1000\nsentinel failover-timeout traps 3000\n", h.ip, hosts[0].ip))
		h.start(t, "redis-sentinel", conf)
	}
	master := func(from host) string {
		c := redis.NewSentinelClient(&redis.Options{Addr: from.ip + ":26379", Dialer: from.dial, DialTimeout: time.Second, ReadTimeout: time.Second, MaxRetries: -1})
		defer c.Close()
		addr, err := c.GetMasterAddrByName(ctx, "traps").Result()
		if err != nil {
			return ""
		}
		return addr[0]
	}
	for _, h := range hosts {
		eventually(t, "the Sentinels know each other", func() bool {
			c := redis.NewSentinelClient(&redis.Options{Addr: h.ip + ":26379", Dialer: h.dial, DialTimeout: time.Second, ReadTimeout: time.Second, MaxRetries: -1})
			defer c.Close()
			others, err := c.Sentinels(ctx, "traps").Result()
			replicas, err2 := c.Replicas(ctx, "traps").Result()
			return err == nil && err2 == nil && len(others) == 2 && len(replicas) == 2
		})
	}
	var all []*peer
	for _, h := range hosts {
		all = append(all, join(t, h.name, settings{options: redis.UniversalOptions{Addrs: sentinels, MasterName: "traps", Dialer: h.dial}, sent: 30 * time.Second}))
	}
	hearAll(t, all)
	all[0].sights(bot, 60)
	everyLists(t, all, bot)

	hosts[0].cut(t)
	eventually(t, "another one is the master", func() bool { m := master(hosts[1]); return m != "" && m != hosts[0].ip })
	client := func(i byte) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, 80, i}) }
	wide := func(i byte) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, 100 + i, 9}) }
	eventually(t, "the others see that the first is not heard", func() bool { return all[1].log.has("is not heard") && all[2].log.has("is not heard") })
	all[0].sights(client(1), 1) // where nobody else hears of it
	all[1].sights(client(2), 1) // where the first may have seen visits
	all[0].visits(wide(3), 30)
	all[2].sights(wide(3), 1)
	everyLists(t, all, bot)
	never(t, "somebody is listed while the network is split", 1500*time.Millisecond, func() bool {
		return someLists(all, client(1))() || someLists(all, client(2))() || someLists(all, wide(3))()
	})

	hosts[0].mend(t)
	hearAll(t, all)
	everyLists(t, all, client(1))
	everyLists(t, all, client(2))
	everyLists(t, all, bot)
	never(t, "one is listed who came to a real host on the other side", 500*time.Millisecond, someLists(all, wide(3)))
	for _, p := range all {
		if strings.Count(p.log.String(), "this server judges") > 2 {
			t.Errorf("%s has judged too often", p.config.Node)
		}
	}
}
