package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/go-crypt/crypt/algorithm/shacrypt"

	"ndock/docker/agent"
)

// errNoAccounts is an image without users, as those of one program often are.
var errNoAccounts = errors.New("the image has no /etc/passwd, so there is nobody to have a password")

// putPassword sets root's password, in a container that runs or not.
func (s *Server) putPassword(_ http.ResponseWriter, r *http.Request) (any, error) {
	var wanted agent.Password
	if err := read(r, &wanted); err != nil {
		return nil, err
	}
	return s.holding(r, func(ctx context.Context, found container.InspectResponse) error {
		err := s.whileFrozen(ctx, found, func() error { return s.setPassword(ctx, found.ID, wanted.Password) })
		var odd *oddFile
		if errors.Is(err, errNoAccounts) || errors.As(err, &odd) {
			return badRequest("%v", err)
		}
		return err
	})
}

// setPassword writes root's password into the files of the accounts: that works whatever programs an image has. The
// container's processes must not run, see readFile.
func (s *Server) setPassword(ctx context.Context, containerID, password string) error {
	shadow, err := s.readFile(ctx, containerID, "/etc/shadow")
	if errdefs.IsNotFound(err) {
		_, err = s.readFile(ctx, containerID, "/etc/passwd")
		shadow = tarFile{path: "/etc/shadow", mode: 0o600}
	}
	switch {
	case errdefs.IsNotFound(err):
		return errNoAccounts
	case err != nil:
		return err
	}
	hash, err := hashed(password)
	if err != nil {
		return err
	}
	shadow.content = []byte(withRootPassword(string(shadow.content), hash))
	return s.writeFile(ctx, containerID, shadow)
}

// hashRounds are those of crypt(3) where nobody asks for others.
const hashRounds = 5000

// hashed is a password as crypt(3) writes it with SHA-512, which every C library reads.
func hashed(password string) (string, error) {
	hasher, err := shacrypt.New(shacrypt.WithVariant(shacrypt.VariantSHA512), shacrypt.WithIterations(hashRounds))
	if err != nil {
		return "", err
	}
	digest, err := hasher.Hash(password)
	if err != nil {
		return "", fmt.Errorf("hash the password: %w", err)
	}
	return digest.Encode(), nil
}

// withRootPassword puts a hash into the text of an /etc/shadow, see shadow(5).
func withRootPassword(shadow, hash string) string {
	lines := strings.SplitAfter(shadow, "\n")
	for i, line := range lines {
		fields := strings.Split(line, ":")
		if fields[0] == "root" && len(fields) > 1 {
			fields[1] = hash
			lines[i] = strings.Join(fields, ":")
			return strings.Join(lines, "")
		}
	}
	return "root:" + hash + ":::::::\n" + shadow
}
