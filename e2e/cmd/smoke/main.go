// Command smoke takes an image round an image service without a Keystone:
// upload, list, download, compare. `make quickstart` ends with it.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"glancectl/service/client"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: smoke URL")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	err := smoke(ctx, os.Args[1])
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "smoke:", err)
		os.Exit(1)
	}
}

// size is that of the image, in bytes.
const size = 4 << 20

func smoke(ctx context.Context, url string) error {
	c, err := client.New(url, client.Options{})
	if err != nil {
		return err
	}
	data := make([]byte, size)
	rand.Read(data) // never fails
	im, err := c.Create(ctx, client.Spec{Name: "smoke", DiskFormat: "raw", ContainerFormat: "bare"})
	if err != nil {
		return err
	}
	if err := c.Upload(ctx, im.ID, bytes.NewReader(data), size); err != nil {
		return err
	}
	fmt.Printf("uploaded    image %s, %d MiB of random data\n", im.ID, size>>20)
	listed, err := c.List(ctx, "smoke")
	if err != nil {
		return err
	}
	if len(listed) == 0 || listed[0].Status != "active" {
		return fmt.Errorf("list %s: %+v; want the image, active", url, listed)
	}
	fmt.Printf("listed      %s, %s\n", listed[0].Name, listed[0].Status)
	back, err := download(ctx, url+"/v2/images/"+im.ID+"/file")
	if err != nil {
		return err
	}
	if !bytes.Equal(back, data) {
		return errors.New("what was downloaded is not what was uploaded")
	}
	fmt.Printf("downloaded  %d MiB: the same\n", len(back)>>20)
	return nil
}

func download(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("download %s: %s", url, resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, size+1))
}
