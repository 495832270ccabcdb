package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mxtrap/server"
	"mxtrap/zone"
	"mxtrap/zone/conf"
)

// checked is what check prints as JSON.
type checked struct {
	OK       bool           `json:"ok"`
	Zones    int            `json:"zones"`
	Decoys   int            `json:"decoys"`
	Covers   int            `json:"covers"`
	Problems []conf.Problem `json:"problems"`
}

func checkCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Load everything as serve would, and print every problem",
		Args:  usage(cobra.NoArgs),
	}
	path, resolve, asJSON := configFlag(c), resolveFlag(c), jsonFlag(c)
	strict := c.Flags().Bool("strict", false, "end with exit code 1 for warnings too")
	c.RunE = func(c *cobra.Command, _ []string) error {
		in, err := inspected(c, *path, *resolve, false)
		if err != nil {
			return err
		}
		out := checked{Zones: len(in.Zones), Problems: append([]conf.Problem{}, in.Problems...)}
		for _, z := range in.Zones {
			decoys, covers := z.Decoys()
			out.Decoys, out.Covers = out.Decoys+decoys, out.Covers+covers
		}
		faults := in.faults()
		out.OK = faults == 0 && (!*strict || len(in.Problems) == 0)
		switch {
		case *asJSON:
			if err := writeJSON(os.Stdout, out); err != nil {
				return err
			}
		case out.OK:
			tell(in.Problems)
			fmt.Printf("ok: %s, %s, %s, %s\n", plural(out.Zones, "zone"), plural(out.Decoys, "decoy"), plural(out.Covers, "cover"), plural(len(in.Problems), "warning"))
		default:
			tell(in.Problems)
			fmt.Fprintln(os.Stderr, plural(cmp.Or(faults, len(in.Problems)), "problem"))
		}
		if !out.OK {
			return errReported
		}
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
	signed := c.Flags().Bool("signed", false, "print what signing adds too, just as a transfer has it")
	c.RunE = func(c *cobra.Command, args []string) error {
		in, err := loaded(c, *path, *resolve, true)
		if err != nil {
			return err
		}
		tell(in.Problems)
		zones := in.Zones
		if len(args) == 1 {
			z, err := in.named(args[0])
			if err != nil {
				return err
			}
			zones = []*zone.Zone{z}
		}
		for _, z := range zones {
			if err := z.Print(os.Stdout, *signed); err != nil {
				return err
			}
		}
		if len(args) == 0 && in.faults() > 0 {
			return errReported // some are missing
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

// inspection is what is loaded, with the configuration as far as that could be read.
type inspection struct {
	*server.Inspection
	config *server.Config
}

// faults counts what is wrong, and not only doubtful.
func (in *inspection) faults() (n int) {
	for _, p := range in.Problems {
		if !p.Warning {
			n++
		}
	}
	return n
}

// loaded loads everything. Every fault is among the problems, those of zones too where the server file has some.
func loaded(c *cobra.Command, named string, resolve, example bool) (*inspection, error) {
	in, err := inspected(c, named, resolve, example)
	if err == nil && in.config == nil {
		tell(in.Problems)
		err = errReported
	}
	return in, err
}

// inspected is loaded for who tells the problems himself: there is no configuration where the server file cannot be read.
func inspected(c *cobra.Command, named string, resolve, example bool) (*inspection, error) {
	path := configPath(named)
	config := server.Example()
	var report conf.Report
	switch {
	case path != "":
		if config = server.CheckConfig(path, &report); config == nil {
			return &inspection{&server.Inspection{Problems: report.Problems()}, nil}, nil
		}
		config.UseStateOfService()
	case !example:
		return nil, errNoConfig
	default:
		fmt.Fprintln(os.Stderr, "no server file: this is the built-in example")
	}
	in := server.Inspect(c.Context(), config, resolve, progress(nil))
	in.Problems = append(report.Problems(), in.Problems...)
	return &inspection{in, config}, nil
}

// named finds a zone by the name that the operator typed.
func (in *inspection) named(name string) (*zone.Zone, error) {
	want := strings.ToLower(name)
	if len(want) > 1 { // the root is but a dot
		want = strings.TrimSuffix(want, ".")
	}
	for _, z := range in.Zones {
		if z.Name() == want {
			return z, nil
		}
	}
	if why := in.Down[want]; why != "" {
		return nil, fmt.Errorf("the zone %s cannot be shown: %s", want, why)
	}
	return nil, fmt.Errorf("no zone %q; there are: %s", name, names(in.Zones))
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
		Short: "Ask a running server whether it is ready: exit code 0, or else 1",
		Long:  "Ask the server that runs with this server file, on its metrics address, whether it is ready: exit 0, or else 1.",
		Args:  usage(cobra.NoArgs),
	}
	path := configFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		// What a file under edit has of faults is no fault of the server that runs.
		address := server.Example().Metrics
		if path := configPath(*path); path != "" {
			if _, err := os.Stat(path); err != nil {
				return fmt.Errorf("%s: %w", path, conf.Plain(err))
			}
			address = server.MetricsOf(path)
		}
		if !address.IsValid() {
			return errors.New("server.metrics is empty, so the server cannot be asked")
		}
		client := &http.Client{Timeout: 5 * time.Second}
		r, err := client.Get("http://" + server.Reachable(address).String() + "/ready")
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

// buildTime is the time of the commit that the program was built from; zero: not known.
func buildTime() (at time.Time) {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.time" {
				at, _ = time.Parse(time.RFC3339, s.Value)
			}
		}
	}
	return at
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
