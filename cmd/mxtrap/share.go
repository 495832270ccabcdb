package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mxtrap/server/control"
)

func shareCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "share",
		Short: "Show the servers that share what they see",
		Args:  func(c *cobra.Command, args []string) error { return unknownCommand(c, args) },
	}
	asJSON := jsonFlag(c)
	controls(c, func(ctx context.Context, client *control.Client, _ []string) error {
		s, err := client.Share(ctx)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(os.Stdout, s)
		}
		answers := "answers"
		if !s.Answers {
			answers = "does not answer"
		}
		judge := s.Judge
		if judge == "" {
			judge = "none"
		}
		table([][2]string{{"store", s.Store + ", " + answers}, {"judge", judge}, {"listed", plural(s.Listed, "client")}, {"to be handed in", plural(s.Waiting, "fact")}})
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		for _, n := range s.Nodes {
			says := "heard " + ago(&n.Heard)
			if n.Silent {
				says = "SILENT: nobody new is listed until it is heard; last " + ago(&n.Heard)
			}
			if n.Senses {
				says += "; sees visits"
			}
			if n.Here {
				says += "; this server"
			}
			fmt.Fprintf(w, "%s\t%s\n", n.Name, says)
		}
		return w.Flush()
	})
	c.AddCommand(shareForgetCommand())
	return c
}

func shareForgetCommand() *cobra.Command {
	return controls(&cobra.Command{
		Use:   "forget NODE",
		Short: "Wait no more for a server that is gone for good",
		Args:  usage(cobra.ExactArgs(1)),
	}, func(ctx context.Context, client *control.Client, args []string) error {
		if err := client.Forget(ctx, args[0]); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%s is forgotten\n", args[0])
		return nil
	})
}
