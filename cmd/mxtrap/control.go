package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"mxtrap/server"
	"mxtrap/server/control"
	"mxtrap/zone/conf"
)

// controls makes a command one that talks to the server that a server file describes.
func controls(c *cobra.Command, do func(ctx context.Context, client *control.Client, args []string) error) *cobra.Command {
	named := configFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		var report conf.Report
		socket := server.ControlOf(configPath(*named), &report)
		if socket == "" {
			tell(report.Problems())
			return errors.New("where the server is cannot be told while its file has faults; it serves on as it was")
		}
		return do(c.Context(), control.NewClient(socket), args)
	}
	return c
}

func statusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "status [ZONE]",
		Short: "Show how the running server is, or one of its zones",
		Args:  usage(cobra.MaximumNArgs(1)),
	}
	asJSON := jsonFlag(c)
	return controls(c, func(ctx context.Context, client *control.Client, args []string) error {
		if len(args) > 0 {
			z, err := client.Zone(ctx, args[0])
			if err == nil && *asJSON {
				return writeJSON(os.Stdout, z)
			} else if err == nil {
				printZone(z)
			}
			return err
		}
		s, err := client.Status(ctx)
		if err == nil && *asJSON {
			return writeJSON(os.Stdout, s)
		} else if err == nil {
			printStatus(s)
		}
		return err
	})
}

// table prints rows of a name and a value; rows without a value are left out.
func table(rows [][2]string) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer w.Flush()
	for _, row := range rows {
		if row[1] != "" {
			fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
		}
	}
}

// ago is a time as a person reads it.
func ago(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	if left := time.Until(*t).Round(time.Second); left > 0 {
		return fmt.Sprintf("%s, in %s", t.Format(time.DateTime+" MST"), left)
	}
	return fmt.Sprintf("%s, %s ago", t.Format(time.DateTime+" MST"), time.Since(*t).Round(time.Second))
}

func printStatus(s control.Status) {
	outcome := "succeeded"
	if !s.Succeeded {
		outcome = "failed"
	}
	listed := ""
	if s.Listed != nil {
		listed = plural(*s.Listed, "client")
	}
	table([][2]string{
		{"version", s.Version + ", commit " + s.Commit}, {"running since", ago(&s.Since)}, {"server file", s.Config}, {"listens at", strings.Join(s.Listen, ", ")},
		{"zones", fmt.Sprint(s.Zones)}, {"last load", outcome + ", " + ago(&s.Reloaded)}, {"listed", listed}, {"not well", strings.Join(s.Unwell, ", ")},
	})
	for _, d := range s.Down {
		fmt.Printf("down: %s: %s\n", d.Zone, d.Why)
	}
	for _, p := range s.Problems {
		fmt.Println(p)
	}
}

func printZone(z control.Zone) {
	signed := "no"
	if z.Signed {
		signed = "yes"
	}
	var exchanges []string
	for _, e := range z.Exchanges {
		exchanges = append(exchanges, e.Host+map[bool]string{true: " is well", false: " is not well"}[e.Up])
	}
	var keys []string
	for _, k := range z.Keys {
		keys = append(keys, fmt.Sprintf("%d (%s, %s) %s", k.Tag, k.Algorithm, k.Kind, k.State))
	}
	table([][2]string{
		{"zone", z.Name}, {"serial", fmt.Sprint(z.Serial)}, {"file", z.File}, {"down", z.Down}, {"primaries", strings.Join(z.Primaries, ", ")},
		{"heard of", ago(z.Confirmed)}, {"expires", ago(z.Expires)}, {"signed", signed}, {"keys", strings.Join(keys, ", ")}, {"signatures end", ago(z.Signature)},
		{"decoys", fmt.Sprint(z.Decoys)}, {"covers", fmt.Sprint(z.Covers)}, {"exchanges", strings.Join(exchanges, ", ")},
	})
	for _, u := range z.Updates {
		if !u.Served {
			fmt.Printf("updated, and not served, because it does not go with the file: %s %s\n", u.Name, u.Type)
			continue
		}
		for _, record := range u.Records {
			fmt.Printf("updated: %s %s %s\n", u.Name, u.Type, record)
		}
		if len(u.Records) == 0 {
			fmt.Printf("updated: %s has no %s any more\n", u.Name, u.Type)
		}
	}
}

func reloadCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "reload [ZONE]",
		Short: "Have the running server read its files again, and show what has changed",
		Long: `Have the running server read its files again, or those of one zone, and show what has changed: each zone with its serial numbers, and each
problem. It waits for the outcome. The exit code is 1 where a file could not be taken in; its last good version is served then.`,
		Args: usage(cobra.MaximumNArgs(1)),
	}
	asJSON := jsonFlag(c)
	return controls(c, func(ctx context.Context, client *control.Client, args []string) error {
		zone := ""
		if len(args) > 0 {
			if zone = args[0]; zone == "" {
				return usageError{errors.New("the zone has no name")}
			}
		}
		r, err := client.Reload(ctx, zone)
		if err != nil {
			return err
		}
		if *asJSON {
			err = writeJSON(os.Stdout, r)
		} else {
			printReloaded(r)
		}
		if !r.Succeeded {
			err = errReported
		}
		return err
	})
}

func printReloaded(r control.Reloaded) {
	for _, change := range r.Changes {
		switch {
		case change.Was == 0:
			fmt.Printf("added %s, serial %d\n", change.Zone, change.Now)
		case change.Down:
			fmt.Printf("down %s, was serial %d\n", change.Zone, change.Was)
		case change.Now == 0:
			fmt.Printf("removed %s\n", change.Zone)
		default:
			fmt.Printf("changed %s, serial %d → %d\n", change.Zone, change.Was, change.Now)
		}
	}
	for _, p := range r.Problems {
		fmt.Fprintln(os.Stderr, p)
	}
	fmt.Printf("%s, %s changed, in %.3f s\n", plural(r.Zones, "zone"), plural(len(r.Changes), "zone"), r.Seconds)
}

func zoneCommand() *cobra.Command {
	refresh := &cobra.Command{Use: "refresh ZONE", Short: "Have the zone's primary asked for a new version at once", Args: usage(cobra.ExactArgs(1))}
	return groupOf("zone", "Act on a zone of the running server", controls(refresh, func(ctx context.Context, client *control.Client, args []string) error {
		return client.Refresh(ctx, args[0])
	}))
}

func updateCommand() *cobra.Command {
	drop := &cobra.Command{Use: "drop ZONE NAME", Short: "Make the records of a name again what the files of its zone say", Args: usage(cobra.ExactArgs(2))}
	return groupOf("update", "Act on what dynamic updates have made of a zone of the running server", controls(drop, func(ctx context.Context, client *control.Client, args []string) error {
		return client.Drop(ctx, args[0], args[1])
	}))
}

// groupOf is a command that does nothing without another behind it.
func groupOf(name, short string, sub *cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use:   name,
		Short: short,
		Args:  func(c *cobra.Command, args []string) error { return unknownCommand(c, args) },
		RunE: func(*cobra.Command, []string) error {
			return usageError{fmt.Errorf("no action given: write mxtrap %s %s", name, sub.Use)}
		},
	}
	c.AddCommand(sub)
	return c
}

func logLevelCommand() *cobra.Command {
	c := &cobra.Command{Use: "log-level LEVEL", Short: "Set how much the running server logs: debug, info, warn or error", Args: usage(cobra.ExactArgs(1))}
	return controls(c, func(ctx context.Context, client *control.Client, args []string) error {
		return client.LogLevel(ctx, args[0])
	})
}
