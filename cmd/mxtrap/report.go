package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"mxtrap/server/catch"
	"mxtrap/server/control"
	"mxtrap/server/judge"
)

func reportCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "report",
		Short: "Report what the trap has come to, with no address in it",
		Long: `Report what the trap has come to: who came where, how far clients went at decoys, how old their MX lists were, how long before
a real host a decoy saw them, and how many of those that were listed may have been honest. Each share has the interval that holds its true
value in 95 of 100 cases, if clients are independent. There is no address in it, so that it can be published.`,
		Args: usage(cobra.NoArgs),
	}
	named, asJSON := configFlag(c), jsonFlag(c)
	since := c.Flags().String("since", "30d", "how far back it looks, such as 7d; it counts whole days (UTC)")
	asCSV := c.Flags().Bool("csv", false, "print CSV")
	c.RunE = func(c *cobra.Command, _ []string) error {
		back, err := catch.ParseTime(*since)
		if err != nil || back <= 0 {
			return usageError{fmt.Errorf("--since %q is no time: write 12h or 30d", *since)}
		}
		if *asJSON && *asCSV {
			return usageError{errors.New("--json and --csv are two forms: choose one")}
		}
		r, err := askOrReadWith(*named, func(client *control.Client) (judge.Report, error) { return client.Report(c.Context(), back) },
			func(book *judge.Book, senses, lists bool) judge.Report {
				now := time.Now()
				return *book.Report(now.Add(-back).Unix(), now.Unix(), senses, lists)
			})
		switch {
		case err != nil:
			return err
		case *asJSON:
			return writeJSON(os.Stdout, r)
		case *asCSV:
			return writeReportCSV(r)
		}
		printReport(r)
		return nil
	}
	return c
}

// inPercent is a share with its interval.
func inPercent(s judge.Share) string {
	if s.Of == 0 {
		return "none seen"
	}
	return fmt.Sprintf("%.1f %% (%.1f to %.1f)", 100*s.Share, 100*s.Low, 100*s.High)
}

func printReport(r judge.Report) {
	fmt.Printf("%s to %s, with %s counted\n", judge.UTC(r.From), judge.UTC(r.To), plural(r.Days, "day"))
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	section := func(title string) { fmt.Fprintf(w, "\n%s\n", title) }
	shares := func(list []judge.Share) {
		for _, s := range list {
			fmt.Fprintf(w, "  %s\t%d\t%s\n", s.Name, s.Count, inPercent(s))
		}
	}
	section("Connections by MX rank: visits to real hosts, sessions at decoys that named a recipient")
	for _, c := range r.Ranks {
		fmt.Fprintf(w, "  %s\t%d\n", c.Name, c.Count)
	}
	fmt.Fprintf(w, "  at decoys\t%d of %d\t%s\n", r.Decoys.Count, r.Decoys.Of, inPercent(r.Decoys))
	section("Sessions at decoys by how far they went")
	for _, c := range r.Sessions {
		fmt.Fprintf(w, "  %s\t%d\n", c.Name, c.Count)
	}
	section("Sightings by rung")
	shares(r.Rungs)
	section("Age of the MX list of clients that named a recipient, where it is known")
	shares(r.Ages)
	section(fmt.Sprintf("%s by the time from the first sighting to a real host", plural(r.Clients, "client")))
	shares(r.Leads)
	if r.Lead != nil {
		seconds := func(n int64) string { return (time.Duration(n) * time.Second).String() }
		fmt.Fprintf(w, "  median of those that came later\t%d\t%s (%s to %s)\n", r.Lead.Of, seconds(r.Lead.Median), seconds(r.Lead.Low), seconds(r.Lead.High))
	}
	fmt.Fprintf(w, "  never seen at a real host\t%d\t%s\n", r.Avoiders.Count, inPercent(r.Avoiders))
	section("Listed, or would have been")
	fmt.Fprintf(w, "  clients\t%d\n", r.Listed)
	if r.Honest != nil {
		fmt.Fprintf(w, "  of them let in later by a real host\t%d\t%s\n", r.Honest.Count, inPercent(*r.Honest))
	}
	section("Not measured")
	for _, m := range r.Missing {
		fmt.Fprintf(w, "  %s\n", m)
	}
	w.Flush()
}

func writeReportCSV(r judge.Report) error {
	out := csv.NewWriter(os.Stdout)
	row := func(section, name string, numbers ...any) {
		fields := []string{section, name, "", "", "", "", ""}
		for i, n := range numbers {
			if f, ok := n.(float64); ok {
				n = strconv.FormatFloat(f, 'f', 5, 64)
			}
			fields[2+i] = fmt.Sprint(n)
		}
		out.Write(fields)
	}
	share := func(section, name string, s judge.Share) { row(section, name, s.Count, s.Of, s.Share, s.Low, s.High) }
	out.Write([]string{"section", "name", "count", "of", "share", "low", "high"})
	row("time", "from", r.From)
	row("time", "to", r.To)
	row("time", "days", r.Days)
	for _, c := range r.Ranks {
		row("rank", c.Name, c.Count)
	}
	share("rank", "at decoys", r.Decoys)
	for _, c := range r.Sessions {
		row("session", c.Name, c.Count)
	}
	for _, of := range []struct {
		section string
		list    []judge.Share
	}{{"rung", r.Rungs}, {"age", r.Ages}, {"lead", r.Leads}} {
		for _, s := range of.list {
			share(of.section, s.Name, s)
		}
	}
	if r.Lead != nil {
		row("lead", "median seconds", r.Lead.Median, r.Lead.Of, "", r.Lead.Low, r.Lead.High)
	}
	share("clients", "never seen at a real host", r.Avoiders)
	row("listed", "clients", r.Listed)
	if r.Honest != nil {
		share("listed", "let in later", *r.Honest)
	}
	for _, m := range r.Missing {
		row("missing", m)
	}
	out.Flush()
	return out.Error()
}
