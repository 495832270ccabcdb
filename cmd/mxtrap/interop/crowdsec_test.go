//go:build interop && linux

package interop

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// crowdsecVariable names the folder that the files of Debian's package were taken out to: its installation would register with its makers.
const crowdsecVariable = "CROWDSEC"

// TestInteropCrowdSec has CrowdSec read what the catch logs, with the parser and the scenario that ship: a client that went on to DATA is told
// of, and one that only forges such a line in its HELO is not.
func TestInteropCrowdSec(t *testing.T) {
	config, dir, _ := startCrowdSec(t)
	for _, c := range []struct{ name, line, want string }{
		{"a deaf sender", `level=INFO msg=catch client=203.0.113.7 port=4711 rung=E4 decoy=mx2.example.com owner=example.com helo=win sender=offers.test recipients="[a@b]" early=false foreign=false seconds=3`, "parsed, told"},
		{"a deaf sender of IPv6, in a log that has the time", `time=2026-11-26T09:43:02.000Z level=INFO msg=catch client=2001:db8::7 port=4711 rung=E4 decoy=mx2.example.com owner=example.com helo=win`, "parsed, told"},
		{"one who tried", `level=INFO msg=catch client=203.0.113.8 port=4711 rung=E3 decoy=mx2.example.com owner=example.com helo=win`, "parsed"},
		{"one who forges a line", `level=INFO msg=catch client=203.0.113.8 port=4711 rung=E1 decoy=mx2.example.com owner=example.com helo="x level=INFO msg=catch client=192.0.2.66 port=1 rung=E4 decoy=mx2.example.com owner=example.com "`, "parsed"},
		{"what is no session", `level=INFO msg=serving zones=1`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := write(t, dir, "log", "Nov 26 09:43:01 mail mxtrap[77]: "+c.line+"\n")
			out, err := exec.Command("cscli", "-c", config, "explain", "--file", log, "--type", "syslog").CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var got []string
			if regexp.MustCompile(`🟢 mxtrap/catch-logs`).Match(out) {
				got = append(got, "parsed")
			}
			if regexp.MustCompile(`🟢 mxtrap/deaf-sender`).Match(out) {
				got = append(got, "told")
			}
			if strings.Join(got, ", ") != c.want {
				t.Errorf("want %q\n%s", c.want, out)
			}
		})
	}
}

// startCrowdSec starts a CrowdSec whose local API has the machine "test".
func startCrowdSec(t *testing.T) (config, dir, port string) {
	from := os.Getenv(crowdsecVariable)
	if from == "" {
		t.Fatal("set " + crowdsecVariable + " to the files of the package crowdsec")
	}
	dir, port = openFolder(t), freePort(t)
	t.Setenv("PATH", from+"/usr/bin:"+os.Getenv("PATH"))
	output(t, "sh", "-ec", `cd "$0"
		mkdir -p parsers/s00-raw parsers/s01-parse parsers/s02-enrich scenarios postoverflows collections data plugins notifications
		cp -r "$1/usr/share/crowdsec/hub" "$1/etc/crowdsec/patterns" "$1/etc/crowdsec/simulation.yaml" "$1/etc/crowdsec/profiles.yaml" "$0"
		cp -r "$1/usr/share/crowdsec/data/." data
	`, dir, from)
	config = write(t, dir, "config.yaml", strings.NewReplacer("DIR", dir, "PORT", port).Replace(`
common: { log_media: stdout, log_level: error, working_dir: DIR }
config_paths: { config_dir: DIR, data_dir: DIR/data, simulation_path: DIR/simulation.yaml, hub_dir: DIR/hub, index_path: DIR/hub/.index.json, notification_dir: DIR/notifications, plugin_dir: DIR/plugins }
crowdsec_service: { acquisition_path: DIR/acquis.yaml, parser_routines: 1, buckets_routines: 1, output_routines: 1 }
cscli: { output: human }
db_config: { type: sqlite, db_path: DIR/data/crowdsec.db, use_wal: true }
api: { client: { credentials_path: DIR/credentials.yaml }, server: { enable: true, listen_uri: "127.0.0.1:PORT", profiles_path: DIR/profiles.yaml } }
`))
	for name, path := range map[string]string{
		"parsers/s00-raw/syslog.yaml": dir + "/hub/parsers/s00-raw/crowdsecurity/syslog-logs.yaml", "parsers/s02-enrich/date.yaml": dir + "/hub/parsers/s02-enrich/crowdsecurity/dateparse-enrich.yaml",
		"parsers/s01-parse/mxtrap.yaml": "../../../configs/crowdsec/parser.yaml", "scenarios/mxtrap.yaml": "../../../configs/crowdsec/scenario.yaml",
	} {
		write(t, dir, name, readFile(t, path))
	}
	write(t, dir, "acquis.yaml", "")
	output(t, "cscli", "-c", config, "machines", "add", "test", "--password", "test", "-f", filepath.Join(dir, "credentials.yaml"), "--url", "http://127.0.0.1:"+port)
	background(t, "crowdsec", "-c", config, "-no-cs")
	eventually(t, "CrowdSec's local API answers", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return config, dir, port
}

// TestInteropCrowdSecIsTold who is listed, by its local API, and who is no more.
func TestInteropCrowdSecIsTold(t *testing.T) {
	buildOnce(t)
	config, dir, port := startCrowdSec(t)
	password := write(t, dir, "password", "test\n")
	os.Chmod(password, 0o600)
	m := serveInstance(t, fmt.Sprintf("state = %q\ncontrol = %q\n[list]\nmode = \"list\"\n[list.crowdsec]\nurl = \"http://127.0.0.1:%s\"\nmachine = \"test\"\npassword_file = %q\n",
		sightedIn(t, "203.0.113.9", "2001:db8:0:7::1"), filepath.Join(dir, "control.sock"), port, password), map[string]string{"a.toml": "name = \"a.test\"\n[records]\n\"@\" = [\"NS ns1\"]\nns1 = [\"A 192.0.2.53\"]\n"})
	key := strings.TrimSpace(output(t, "cscli", "-c", config, "bouncers", "add", "firewall", "-o", "raw"))
	bans := func(client string) int { // as a bouncer asks
		r, _ := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+port+"/v1/decisions?ip="+client, nil)
		r.Header.Set("X-Api-Key", key)
		reply, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Body.Close()
		said, _ := io.ReadAll(reply.Body)
		return strings.Count(string(said), `"type":"ban"`)
	}
	eventually(t, "CrowdSec has both", func() bool { return bans("203.0.113.9") == 1 && bans("2001:db8:0:7::5") == 1 })
	output(t, "cscli", "-c", config, "decisions", "add", "--ip", "203.0.113.77", "--reason", "by hand")
	time.Sleep(12 * time.Second) // mxtrap looks again
	if bans("203.0.113.9") != 1 || bans("203.0.113.10") != 0 {
		t.Errorf("%d bans, and %d of a neighbour", bans("203.0.113.9"), bans("203.0.113.10"))
	}
	output(t, buildOnce(t), "list", "pardon", "--config", m.config(), "203.0.113.9")
	eventually(t, "the pardoned one is out", func() bool { return bans("203.0.113.9") == 0 })
	if bans("2001:db8:0:7::5") != 1 || bans("203.0.113.77") != 1 {
		t.Error("the others are gone")
	}
}
