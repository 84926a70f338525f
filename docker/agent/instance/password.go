package instance

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/go-crypt/crypt/algorithm/shacrypt"

	"ndock/docker/agent"
	"ndock/docker/engine"
)

// errNoAccounts is for an image without users; those of a single program often have none.
var errNoAccounts = errors.New("the image has no /etc/passwd, so there is nobody to have a password")

// Passwords has the verb that changes a server's password.
type Passwords struct {
	engine engine.Containers
	verbs  *verbs
	pauses *Pauses
}

// Set sets root's password, in a container that runs or not.
func (p *Passwords) Set(ctx context.Context, uuid string, wanted agent.Password) error {
	return p.verbs.withContainer(ctx, uuid, func(found container.InspectResponse) error {
		err := p.pauses.whilePaused(ctx, found, func() error { return (files{p.engine, found.ID}).setPassword(ctx, wanted.Password) })
		var odd *oddFile
		if errors.Is(err, errNoAccounts) || errors.As(err, &odd) {
			return agent.Faultf(agent.BadRequest, "%v", err)
		}
		return err
	})
}

// setPassword writes root's password to /etc/shadow, which works whatever programs an image has. The container's processes
// must not run, see read.
func (f files) setPassword(ctx context.Context, password string) error {
	shadow, err := f.read(ctx, "/etc/shadow")
	if errdefs.IsNotFound(err) {
		_, err = f.read(ctx, "/etc/passwd")
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
	return f.write(ctx, shadow)
}

// hashRounds is crypt(3)'s default.
const hashRounds = 5000

// hashed returns a password as a SHA-512 hash of crypt(3), which every C library reads.
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

// withRootPassword returns the text of an /etc/shadow with this hash for root, see shadow(5).
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

const sshDir, authorizedKeys = "/root/.ssh", "/root/.ssh/authorized_keys"

// authorize adds a public key to root's, with the owner and the modes that sshd's StrictModes wants.
func (f files) authorize(ctx context.Context, key string) error {
	there, err := f.read(ctx, authorizedKeys)
	if err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	content := string(there.content)
	if line := strings.TrimSpace(key); !strings.Contains(content, line) {
		if content != "" && !strings.HasSuffix(content, "\n") {
			content += "\n"
		}
		content += line + "\n"
	}
	return f.write(ctx,
		tarFile{path: sshDir, mode: 0o700, directory: true},
		tarFile{path: authorizedKeys, content: []byte(content), mode: 0o600})
}
