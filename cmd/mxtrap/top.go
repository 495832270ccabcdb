package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"mxtrap/server/control"
	"mxtrap/server/tap"
)

func topCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "top",
		Short: "Show live what clients ask the running server for",
		Long: `Show live what clients ask the running server for: queries a second, and the zones, names, types, RCODEs, clients and decoys that were
seen most. A client is an IPv4 address or an IPv6 /64. Nothing is kept. Ctrl-C ends it.`,
		Args: usage(cobra.NoArgs),
	}
	every := c.Flags().Duration("every", 2*time.Second, "how long queries are watched for each picture, a minute at most")
	lines := c.Flags().Int("lines", 10, "how long each list may be")
	once := c.Flags().Bool("once", false, "show one picture and end")
	asJSON := jsonFlag(c)
	return controls(c, func(ctx context.Context, client *control.Client, _ []string) error {
		live := term.IsTerminal(int(os.Stdout.Fd())) && !*once && !*asJSON
		for {
			t, err := client.Top(ctx, *every, *lines)
			switch {
			case ctx.Err() != nil: // the operator has seen enough
				return nil
			case err != nil:
				return err
			case *asJSON:
				err = writeJSON(os.Stdout, t)
			default:
				if live {
					fmt.Print("\x1b[H\x1b[2J")
				}
				err = printTop(os.Stdout, t)
			}
			if err != nil || *once {
				return err
			}
		}
	})
}

func printTop(to io.Writer, t control.Top) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%.0f queries a second (%d in %.1f s, %d of them looked at)\n", float64(t.Queries)/t.Seconds, t.Queries, t.Seconds, t.Seen)
	for _, list := range []struct {
		title string
		items []tap.Counted
	}{{"zones", t.Zones}, {"names", t.Names}, {"types", t.Types}, {"RCODEs", t.Rcodes}, {"clients", t.Clients}, {"decoys", t.Decoys}} {
		if len(list.items) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", list.title)
		for _, item := range list.items {
			fmt.Fprintf(w, "  %s\t%d\t%.0f%%\n", item.Name, item.Queries, 100*float64(item.Queries)/float64(t.Seen))
		}
	}
	return w.Flush()
}
