package commands

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/urfave/cli/v2"

	"ndock/commands/internal/output"
	"ndock/registry/client"
)

func registryShowCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "show",
		Usage:     "Show an image in a registry",
		ArgsUsage: "REPOSITORY[:TAG|@DIGEST]",
		Description: "For an index, which has an image for each platform, it lists the manifests; each can be shown by its digest.\n\n" +
			examples(
				"ndock registry show site/web:1",
				"ndock registry show site/web:1 -f value -c Digest"),
		Flags:  slices.Concat(registryClientFlags(), outputFlags()),
		Action: func(c *cli.Context) error { return registryShow(c, s) },
	}
}

func registryShow(c *cli.Context, s Streams) error {
	args, err := exactly(c, "REPOSITORY")
	if err != nil {
		return err
	}
	style := outputStyle(c)
	if err := style.Check(output.Names(registryImageFields(style, client.Image{}))); err != nil {
		return err
	}
	at, err := openRegistry(c)
	if err != nil {
		return err
	}
	ref, err := at.Parse(args[0])
	if err != nil {
		return misused(c, "%s", err)
	}
	image, err := at.Show(c.Context, ref)
	if err != nil {
		return err
	}
	return style.Show(s.Out, registryImageFields(style, image))
}

func registryImageFields(style output.Style, image client.Image) []output.Field {
	return []output.Field{
		{Name: "Repository", Value: image.Repository},
		{Name: "Tag", Value: image.Tag},
		{Name: "Digest", Value: image.Digest},
		{Name: "Media Type", Value: image.MediaType},
		{Name: "Platforms", Value: list(image.Platforms)},
		{Name: "Created", Value: age(style, image.Created)},
		{Name: "Size", Value: size(style, image.Size)},
		{Name: "Entrypoint", Value: words(image.Entrypoint)},
		{Name: "Command", Value: words(image.Command)},
		{Name: "Layers", Value: registryParts(image.Layers)},
		{Name: "Manifests", Value: registryParts(image.Manifests)},
	}
}

// registryParts has a digest, what it takes, and what it is for, in each.
func registryParts(parts []client.Part) []string {
	all := []string{}
	for _, part := range parts {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %d %s", part.Digest, part.Size, part.Platform)))
	}
	return all
}

// words are a command's, and who made the image has chosen them: none may steer a terminal.
func words(command []string) []string {
	all := []string{}
	for _, word := range command {
		if strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsPrint(r) }) {
			word = strconv.Quote(word)
		}
		all = append(all, word)
	}
	return all
}
