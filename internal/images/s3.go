package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// S3 is a Store in a bucket of an S3-compatible service.
type S3 struct {
	client *minio.Client
	place  S3Place
}

// S3Place is where a bucket is, and how to get at it.
type S3Place struct {
	Endpoint  string // its URL, of scheme http or https
	Region    string // empty: the service is asked
	AccessKey string
	SecretKey string
	Bucket    string
	Prefix    string // of all names; may be empty
}

// OpenS3 opens a bucket, which must be there.
func OpenS3(ctx context.Context, place S3Place) (*S3, error) {
	endpoint, err := url.Parse(place.Endpoint)
	if err != nil {
		return nil, errors.New("images: the S3 endpoint is no URL")
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds: credentials.NewStaticV4(place.AccessKey, place.SecretKey, ""), Secure: endpoint.Scheme == "https", Region: place.Region,
		MaxRetries: 3, // of each request: who waits for an answer waits for them
	})
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	there, err := client.BucketExists(ctx, place.Bucket)
	if err != nil {
		return nil, fmt.Errorf("images: look for the bucket %s: %w", place.Bucket, err)
	}
	if !there {
		return nil, fmt.Errorf("images: there is no bucket %s at %s", place.Bucket, endpoint.Host)
	}
	return &S3{client: client, place: place}, nil
}

// Put stores an object, which S3 does whole or not at all, and durably before it answers.
func (s *S3) Put(ctx context.Context, name string, data []byte) error {
	_, err := s.client.PutObject(ctx, s.place.Bucket, s.key(name), bytes.NewReader(data), int64(len(data)),
		minio.PutObjectOptions{ContentType: mediaTypes[strings.TrimPrefix(path.Ext(name), ".")]})
	return err
}

// Open opens an object. What is read of it is fetched then.
func (s *S3) Open(ctx context.Context, name string) (File, error) {
	object, err := s.client.GetObject(ctx, s.place.Bucket, s.key(name), minio.GetObjectOptions{})
	if err != nil {
		return File{}, err
	}
	info, err := object.Stat()
	if err != nil {
		if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
			err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
		}
		return File{}, errors.Join(err, object.Close())
	}
	return File{ReadSeekCloser: object, Modified: info.LastModified}, nil
}

// Remove removes an object.
func (s *S3) Remove(ctx context.Context, name string) error {
	return s.client.RemoveObject(ctx, s.place.Bucket, s.key(name), minio.RemoveObjectOptions{})
}

func (s *S3) key(name string) string { return path.Join(s.place.Prefix, path.Join("/", name)) }
