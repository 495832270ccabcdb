package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"mxtrap/cmd/mxtrap/demo"
)

// How long the demonstration takes.
const (
	demoTime     = time.Minute
	demoFastTime = 15 * time.Second
)

func demoCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "demo",
		Short: "Play on loopback how bots are caught and honest mail arrives",
		Long: `Play on loopback how bots are caught and honest mail arrives: a trapped domain with its real mail hosts, the catch at its decoys, honest
senders and bots, and an outage in the middle. All of them are real and speak DNS and SMTP; only the clock is wound up. It needs no file and
no right, and leaves nothing behind. The exit code is 1 where an honest sender was listed or lost a message.`,
		Args: usage(cobra.NoArgs),
	}
	fast := c.Flags().Bool("fast", false, "play it in 15 seconds")
	c.RunE = func(c *cobra.Command, _ []string) error {
		lasts := demoTime
		if *fast {
			lasts = demoFastTime
		}
		// It ends in good order, and takes what it has written with it, whatever becomes of the terminal.
		signal.Ignore(syscall.SIGPIPE)
		ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGHUP)
		defer stop()
		return demo.Run(ctx, lasts, os.Stdout)
	}
	return c
}
