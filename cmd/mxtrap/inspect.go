package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"mxtrap/server"
	"mxtrap/zone"
	"mxtrap/zone/conf"
)

func checkCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Load everything as serve would, and tell every problem",
		Args:  usage(cobra.NoArgs),
	}
	path, resolve := configFlag(c), resolveFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		zones, warnings, err := inspect(c, *path, *resolve)
		if err != nil {
			return err
		}
		decoys, covers := 0, 0
		for _, z := range zones {
			d, v := z.Decoys()
			decoys, covers = decoys+d, covers+v
		}
		fmt.Printf("ok: %s, %s, %s, %s\n", plural(len(zones), "zone"), plural(decoys, "decoy"), plural(covers, "cover"), plural(warnings, "warning"))
		return nil
	}
	return c
}

func showCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "show [ZONE]",
		Short: "Print zones as they are served, as master files",
		Args:  usage(cobra.MaximumNArgs(1)),
	}
	path, resolve := configFlag(c), resolveFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		zones, _, err := inspect(c, *path, *resolve)
		if err != nil {
			return err
		}
		if len(args) == 1 {
			z, err := zoneNamed(zones, args[0])
			if err != nil {
				return err
			}
			zones = []*zone.Zone{z}
		}
		for _, z := range zones {
			if err := z.Print(os.Stdout); err != nil {
				return err
			}
		}
		return nil
	}
	return c
}

// names lists the first zones.
func names(zones []*zone.Zone) string {
	var out []string
	for _, z := range zones {
		out = append(out, z.Name())
	}
	return firstOf(out)
}

func resolveFlag(c *cobra.Command) *bool {
	return c.Flags().Bool("resolve", false, "look up the addresses of hosts outside the zones, as serve does")
}

// inspect loads everything and tells what is wrong or doubtful.
func inspect(c *cobra.Command, path string, resolve bool) (zones []*zone.Zone, warnings int, err error) {
	_, zones, problems, err := load(c, path, resolve)
	if err != nil {
		return nil, 0, err
	}
	tell(problems)
	return zones, len(problems), nil
}

// load loads everything. Where something is wrong it tells all problems; else they are warnings, and the caller's.
func load(c *cobra.Command, path string, resolve bool) (config *server.Config, zones []*zone.Zone, warnings []conf.Problem, err error) {
	if config, err = readConfig(path); err != nil {
		return nil, nil, nil, err
	}
	zones, problems := server.Inspect(c.Context(), config, resolve, progress(nil))
	faults := 0
	for _, p := range problems {
		if !p.Warning {
			faults++
		}
	}
	if faults > 0 {
		tell(problems)
		fmt.Fprintf(os.Stderr, "%s\n", plural(faults, "problem"))
		return nil, nil, nil, errReported
	}
	return config, zones, problems, nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func healthCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "health",
		Short: "Ask a running server whether it is ready: exit 0, or else 1",
		Long:  "Ask the server that runs with this server file, on its metrics address, whether it is ready: exit 0, or else 1.",
		Args:  usage(cobra.NoArgs),
	}
	path := configFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		config, err := readConfig(*path)
		if err != nil {
			return err
		}
		if !config.Metrics.IsValid() {
			return errors.New("server.metrics is empty: there is nobody to ask")
		}
		client := &http.Client{Timeout: 5 * time.Second}
		r, err := client.Get("http://" + server.Reachable(config.Metrics).String() + "/ready")
		if err != nil {
			return err
		}
		defer r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return fmt.Errorf("not ready: %s", r.Status)
		}
		return nil
	}
	return c
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and Go version",
		Args:  usage(cobra.NoArgs),
		Run: func(*cobra.Command, []string) {
			version, commit := buildVersion()
			fmt.Printf("mxtrap %s, commit %s, %s\n", version, commit, runtime.Version())
		},
	}
}

// version and commit are set by the linker where a release is built; else the Go tool's own notes tell the commit.
var version, commit = "0.1.0", ""

func buildVersion() (string, string) {
	if commit != "" {
		return version, commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return version, s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return version, "unknown"
}
