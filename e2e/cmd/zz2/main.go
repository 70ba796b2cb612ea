package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"glancectl/proposals"
	"glancectl/provision"
	"glancectl/provision/machine"
	"glancectl/provision/sshhost"
	"glancectl/roles"
)

func usage() int {
	b, _ := os.ReadFile("/sys/fs/cgroup/unified/glab-image-1/cpu.stat")
	var n int
	fmt.Sscanf(string(b), "usage_usec %d", &n)
	return n
}

type keep struct{ *sshhost.Host }

func (keep) Close() error { return nil }

func main() {
	all, diags := proposals.Load([]string{"/tmp/tool/fleet.hcl"}, proposals.Options{})
	if diags.HasErrors() {
		panic(diags)
	}
	p := all[0]
	stages, err := roles.Expand(p, roles.Options{Secrets: roles.Generate(p, roles.Secrets{}), Service: func(string) (machine.Payload, error) { return machine.Payload{SHA256: "x", Size: 14000000}, nil }})
	if err != nil {
		panic(err)
	}
	var one []provision.Stage
	for _, s := range stages {
		o := s
		o.Targets = nil
		for _, t := range s.Targets {
			if t.Host == "image-1" {
				o.Targets = append(o.Targets, t)
			}
		}
		if len(o.Targets) > 0 {
			one = append(one, o)
		}
	}
	h, err := sshhost.Dial(context.Background(), sshhost.Config{Name: "image-1", Address: "10.77.0.21", PrivateKey: "/var/lib/glancectl-lab/live/key", KnownHosts: "/var/lib/glancectl-lab/live/known_hosts"})
	if err != nil {
		panic(err)
	}
	for r := 0; r < 3; r++ {
		a := usage()
		t := time.Now()
		for i := 0; i < 20; i++ {
			_, err := provision.Observe(context.Background(), one, func(context.Context, string) (provision.Host, error) { return keep{h}, nil }, provision.Options{Proposal: "fleet"})
			if err != nil {
				panic(err)
			}
		}
		fmt.Printf("%s per look %.2f ms cpu, wall %v\n", os.Args[1], float64(usage()-a)/20000, time.Since(t)/20)
	}
}
