package store

import (
	"encoding/binary"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// columns is a batch as the arguments of append_events, in PostgreSQL's binary form. The writer keeps it and fills it anew
// for each batch: pgx, which encodes any slice, spends more time and garbage on one than all else of an append together.
type columns struct {
	expectAppend, expectStream, expectVersion                  array
	append, stream, version, kind, schema, data, meta, command array
}

// binaryForm is for all arguments, and all results.
var binaryForm = []int16{pgx.BinaryFormatCode}

// arguments are good until the next call.
func (c *columns) arguments(appends []*pending) [][]byte {
	c.begin()
	for i, p := range appends {
		for stream, version := range p.Expect {
			c.expectAppend.int32(int32(i))
			c.expectStream.text(stream)
			c.expectVersion.int64(int64(version))
		}
		for k, e := range p.Events {
			c.append.int32(int32(i))
			c.stream.text(e.Stream)
			c.version.int64(int64(p.versions[k]))
			c.kind.text(e.Type)
			c.schema.int16(e.Schema)
			c.data.bytes(e.Data)
			c.meta.bytes(p.meta)
			if k == len(p.Events)-1 {
				c.command.bytes(p.Command[:])
			} else {
				c.command.null()
			}
		}
	}
	return [][]byte{
		c.expectAppend.end(), c.expectStream.end(), c.expectVersion.end(),
		c.append.end(), c.stream.end(), c.version.end(), c.kind.end(), c.schema.end(), c.data.end(), c.meta.end(), c.command.end(),
	}
}

func (c *columns) begin() {
	c.expectAppend.begin(pgtype.Int4OID)
	c.expectStream.begin(pgtype.TextOID)
	c.expectVersion.begin(pgtype.Int8OID)
	c.append.begin(pgtype.Int4OID)
	c.stream.begin(pgtype.TextOID)
	c.version.begin(pgtype.Int8OID)
	c.kind.begin(pgtype.TextOID)
	c.schema.begin(pgtype.Int2OID)
	c.data.begin(pgtype.TextOID)
	c.meta.begin(pgtype.TextOID)
	c.command.begin(pgtype.UUIDOID)
}

// array is an array of one dimension as PostgreSQL's array_recv reads it: a header, then each element after its length.
type array struct {
	buffer []byte
	length uint32
}

// atLength is where the header has the array's length.
const atLength = 12

func (a *array) begin(element uint32) {
	const dimensions, withNulls, lowest = 1, 1, 1
	a.length = 0
	b := binary.BigEndian.AppendUint32(a.buffer[:0], dimensions)
	b = binary.BigEndian.AppendUint32(b, withNulls)
	b = binary.BigEndian.AppendUint32(b, element)
	b = binary.BigEndian.AppendUint32(b, a.length)
	a.buffer = binary.BigEndian.AppendUint32(b, lowest)
}

func (a *array) end() []byte {
	binary.BigEndian.PutUint32(a.buffer[atLength:], a.length)
	return a.buffer
}

// next begins an element of that many bytes, -1 for null.
func (a *array) next(size int) {
	a.length++
	a.buffer = binary.BigEndian.AppendUint32(a.buffer, uint32(int32(size))) //nolint:gosec // a message has less than 2^30 bytes
}

func (a *array) null() { a.next(-1) }

func (a *array) bytes(value []byte) {
	a.next(len(value))
	a.buffer = append(a.buffer, value...)
}

func (a *array) text(value string) {
	a.next(len(value))
	a.buffer = append(a.buffer, value...)
}

func (a *array) int16(value int16) {
	a.next(2)
	a.buffer = binary.BigEndian.AppendUint16(a.buffer, uint16(value)) //nolint:gosec // the same bits
}

func (a *array) int32(value int32) {
	a.next(4)
	a.buffer = binary.BigEndian.AppendUint32(a.buffer, uint32(value)) //nolint:gosec // the same bits
}

func (a *array) int64(value int64) {
	a.next(8)
	a.buffer = binary.BigEndian.AppendUint64(a.buffer, uint64(value)) //nolint:gosec // the same bits
}
