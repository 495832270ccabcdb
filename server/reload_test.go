package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"mxtrap/server/state"
)

// TestAReloadThatFindsNoFilesChangesNothing: not even which zones had to give way.
func TestAReloadThatFindsNoFilesChangesNothing(t *testing.T) {
	t.Parallel()
	server := strings.Replace(serverFile, "workers", "state = \"state\"\nzones = [\"zones/*.toml\"]\nworkers", 1)
	r := start(t, map[string]string{"mxtrap.toml": server, "zones/b.toml": simpleZone("x.test", 2)})
	r.write("zones/a.toml", simpleZone("x.test", 1))
	r.reload()
	r.write("mxtrap.toml", strings.Replace(server, "*.toml\"", "*.toml\", \"nothing/*.toml\"", 1))
	r.reload()
	r.want("success", r.metric("mxtrap_config_last_reload_successful"), "0")
	if log := r.log.String(); !strings.Contains(log, "not reloaded, because server.zones has faults") {
		t.Error(log)
	}
	if waiting := state.ReadWaiting(filepath.Join(r.dir, "state")); len(waiting) != 1 {
		t.Errorf("%v had to give way", waiting)
	}
	r.want("the zone", r.ask("www.x.test.", dns.TypeA), "192.0.2.2")
}

// TestAZoneThatGaveWayLeavesNoNumberBehind: under its serial number nothing was served.
func TestAZoneThatGaveWayLeavesNoNumberBehind(t *testing.T) {
	t.Parallel()
	numbered := func(serial int) string {
		return strings.Replace(simpleZone("x.test", 1), "[records]", fmt.Sprintf("[soa]\nserial = %d\n[records]", serial), 1)
	}
	files := map[string]string{"mxtrap.toml": strings.Replace(serverFile, "workers", fmt.Sprintf("state = %q\nworkers", t.TempDir()), 1), "zones/a.toml": numbered(6)}
	r := start(t, files)
	r.write("zones/z.toml", numbered(9))
	r.reload()
	r.want("the serial number", r.asked("x.test.", dns.TypeSOA), "NOERROR 6")
	os.Remove(filepath.Join(r.dir, "zones/z.toml"))
	r.reload()
	r.stop()
	r = start(t, files)
	r.want("the serial number after a restart", r.asked("x.test.", dns.TypeSOA), "NOERROR 6")
}

func TestAddressesOfTheCommandLineOutliveAReload(t *testing.T) {
	t.Parallel()
	r := start(t, map[string]string{"zones/a.toml": simpleZone("x.test", 1)}, func(s *Server) {
		if err := s.config.ListenOn([]string{"[::1]:0"}); err != nil {
			t.Fatal(err)
		}
	})
	r.reload()
	if got := r.listeners.Addresses(r.config.Listen); len(got) != 1 || got[0] != r.addr || !strings.HasPrefix(got[0], "[::1]:") {
		t.Errorf("%v, and %s before", got, r.addr)
	}
	r.want("an answer", r.ask("www.x.test.", dns.TypeA), "192.0.2.1")
}
