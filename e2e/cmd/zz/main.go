package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"glancectl/provision"
	"glancectl/provision/machine"
	"glancectl/provision/sshhost"
)

type src struct{ p machine.Payload }

func usage() int {
	t := 0
	for i := 1; i <= 10; i++ {
		b, _ := os.ReadFile(fmt.Sprintf("/sys/fs/cgroup/unified/glab-image-%d/cpu.stat", i))
		var n int
		fmt.Sscanf(string(b), "usage_usec %d", &n)
		t += n
	}
	return t
}

func main() {
	data, _ := os.ReadFile("/tmp/wt/tool/bin/glanced-linux-amd64")
	sum := sha256.Sum256(data)
	var hosts []*sshhost.Host
	for i := 1; i <= 10; i++ {
		h, err := sshhost.Dial(context.Background(), sshhost.Config{Name: fmt.Sprint("image-", i), Address: fmt.Sprint("10.77.0.", 20+i), PrivateKey: "/var/lib/glancectl-lab/live/key", KnownHosts: "/var/lib/glancectl-lab/live/known_hosts"})
		if err != nil {
			panic(err)
		}
		hosts = append(hosts, h)
	}
	for r := 0; r < 3; r++ {
		a := usage()
		t := time.Now()
		var wg sync.WaitGroup
		for _, h := range hosts {
			wg.Go(func() {
				r := machine.Binary{Path: "/tmp/prog", Mode: 0o755, Source: func(string) (machine.Payload, error) {
					return machine.Payload{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data)),
						Plain: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
						Open:  func() (io.ReadCloser, error) { f, err := os.Open("/tmp/wt/tool/cmd/glancectl/bundle/files/glanced-linux-amd64.gz"); return f, err },
					}, nil
				}}
				p, err := provision.Observe(context.Background(), []provision.Stage{{Name: "x", Targets: []provision.Target{{Host: h.Name(), Name: h.Name(), Resources: []provision.Resource{r}}}}}, func(context.Context, string) (provision.Host, error) { return keep{h}, nil }, provision.Options{Proposal: "zz"})
				if err != nil {
					panic(err)
				}
				_, err = provision.Apply(context.Background(), p, func(context.Context, string) (provision.Host, error) { return keep{h}, nil }, provision.Options{Proposal: "zz", NoVerify: true})
				if err != nil {
					panic(err)
				}
			})
		}
		wg.Wait()
		fmt.Printf("%s per node %.1f ms cpu, wall %v\n", os.Args[1], float64(usage()-a)/10000, time.Since(t))
		for _, h := range hosts {
			h.Run(context.Background(), provision.Cmd{Argv: []string{"sh", "-s"}, Stdin: strings.NewReader("rm -rf /tmp/prog /var/lib/glancectl/zz")})
		}
	}
}

type keep struct{ *sshhost.Host }

func (keep) Close() error { return nil }
