/**
 * The bytes of a manifest to a Manifest, checked strictly: they may have been made to harm.
 *
 * Invariants
 * 1. Scanned before it is parsed; every field checked for type and range; no key and no name twice.
 * 2. Unknown keys are ignored (except in records of members and files, which carry them along).
 * 3. Extents of a record add up to its length; where they lie is checked in arrangement.ts.
 */
import { messageOf } from '../base/errors.js';
import { isImageName } from '../base/ids.js';
import type { DroppedValues } from '../codec/contract.js';
import { unpackMsgpack } from '../codec/msgpack.js';
import { MAX_SECTION_BYTES, type MsgpackLimits } from '../codec/tags.js';
import type {
  BaseRecord,
  BufferRecord,
  FileRecord,
  ImageRef,
  Manifest,
  MemberRecord,
  OpenDescriptor,
  Provenance,
  SectionRecord,
} from './contract.js';
import { beyondLimit, corrupt } from './damage.js';
import { MAX_BASES } from './format.js';
import { buffer, extents } from './manifest-extents.js';
import { countEntries, Fields, isCount } from './manifest-fields.js';

export const MANIFEST_LIMITS: MsgpackLimits = { depth: 32, values: 2 ** 23, containers: 2 ** 21 };

/** Beyond any number of buffers that a manifest has room for. */
const MAX_NUMBER = 2 ** 24;

/** @throws CheckpointError ERR_CKPT_IMAGE_CORRUPT, ERR_CKPT_IMAGE_LIMIT */
export function decodeManifest(bytes: Uint8Array, label: string): Manifest {
  const fail = (found: string) => corrupt(label, 'manifest', found);
  let unpacked: ReturnType<typeof unpackMsgpack>;
  try {
    unpacked = unpackMsgpack(bytes, MANIFEST_LIMITS);
  } catch (error) {
    throw fail(messageOf(error));
  }
  if (unpacked.fault === 'limit') throw beyondLimit(label, 'manifest', unpacked.reason);
  if (unpacked.fault !== undefined) throw fail(unpacked.reason);
  if (countEntries(unpacked.value) !== unpacked.entries) throw fail('a map has the same key twice');
  const top = new Fields(unpacked.value, '', fail);
  const bases = top.maps('bases').map(base);
  const buffers = top.maps('buffers').map((fields) => buffer(fields, bases.length));
  const sections: SectionRecord[] = [];
  for (const fields of top.maps('sections')) sections.push(section(fields, bases.length, buffers, sections));
  const manifest: Manifest = { ...head(top), sections, buffers, bases };
  if (bases.length > MAX_BASES) throw beyondLimit(label, 'manifest', `${bases.length} bases, more than ${MAX_BASES}`);
  for (const { name, length } of sections) {
    if (length > MAX_SECTION_BYTES)
      throw beyondLimit(label, name, `${length} bytes, more than the ${MAX_SECTION_BYTES} a section may have`);
  }
  refuseTwice(manifest, fail);
  return manifest;
}

function head(top: Fields): Omit<Manifest, 'sections' | 'buffers' | 'bases'> {
  const image = top.map('image');
  const run = top.map('run');
  const app = run.map('app');
  const producer = top.map('producer');
  return {
    image: {
      ...ref(image),
      names: imageNames(image),
      reason: image.text('reason'),
      createdAt: image.number('createdAt'),
      clockMs: image.number('clockMs'),
      finished: image.flag('finished'),
      parent: image.raw('parent') === null ? null : ref(image.map('parent')),
    },
    run: { id: run.text('id'), app: { name: app.text('name'), version: app.text('version') } },
    producer: { sdk: producer.text('sdk'), node: producer.text('node'), platform: producer.text('platform'), arch: producer.text('arch') },
    provenance: provenance(top.map('provenance')),
    members: top.maps('members').map(member),
    files: top.maps('files').map(file),
  };
}

/** Names become file names in a store: nothing but a proper name is let in. */
function imageNames(fields: Fields): string[] {
  const names = fields.texts('names');
  if (!names.every(isImageName)) throw fields.wrong('names', 'names of images');
  return names;
}

function ref(fields: Fields): ImageRef {
  return { id: fields.id('id'), epoch: fields.count('epoch'), generation: fields.count('generation') };
}

function provenance(fields: Fields): Provenance {
  return {
    host: fields.text('host'),
    pid: fields.count('pid'),
    ppid: fields.count('ppid'),
    ...(fields.has('pgrp') ? { pgrp: fields.count('pgrp') } : {}),
    ...(fields.has('sid') ? { sid: fields.count('sid') } : {}),
    cwd: fields.text('cwd'),
    execPath: fields.text('execPath'),
    execArgv: fields.texts('execArgv'),
    argv: fields.texts('argv'),
    startedAt: fields.number('startedAt'),
    openFiles: fields.maps('openFiles').map(openFile),
  };
}

function openFile(fields: Fields): OpenDescriptor {
  return {
    fd: fields.count('fd'),
    target: fields.text('target'),
    ...(fields.has('position') ? { position: fields.count('position') } : {}),
    ...(fields.has('flags') ? { flags: fields.text('flags') } : {}),
    ...(fields.has('tracked') ? { tracked: fields.text('tracked') } : {}),
    ...(fields.has('openedAt') ? { openedAt: fields.text('openedAt') } : {}),
  };
}

function member(fields: Fields): MemberRecord {
  return { ...fields.plain(), name: fields.text('name'), kind: fields.oneOf('kind', ['program', 'worker', 'process']) };
}

function file(fields: Fields): FileRecord {
  return { ...fields.plain(), member: fields.text('member'), name: fields.text('name'), path: fields.text('path') };
}

function base(fields: Fields): BaseRecord {
  return { ...ref(fields), manifestHash: fields.hash('manifestHash') };
}

/** Each once, in the order that the section's bytes mean. */
function imports(fields: Fields, owner: string, before: readonly SectionRecord[]): number[] {
  const found = new Set<number>();
  for (const index of fields.list('imports')) {
    if (!isCount(index) || before[index]?.member !== owner || found.has(index))
      throw fields.wrong('imports', 'different indexes of earlier sections of the same member');
    found.add(index);
  }
  return [...found];
}

/** @param before the sections that come before it: it can import no others */
function section(fields: Fields, bases: number, buffers: readonly BufferRecord[], before: readonly SectionRecord[]): SectionRecord {
  const length = fields.count('length');
  const owner = fields.text('member');
  const uses = ascending(fields, 'buffers', 'ascending indexes of buffers of the same member', (index) => buffers[index]?.member === owner);
  const optional = {
    ...(fields.has('numbers') ? { numbers: numbers(fields, uses.length) } : {}),
    ...(fields.has('imports') ? { imports: imports(fields, owner, before) } : {}),
    ...(fields.has('carriedFrom') ? { carriedFrom: fields.count('carriedFrom') } : {}),
    ...(fields.has('dropped') ? { dropped: dropped(fields.map('dropped')) } : {}),
  };
  return {
    member: owner,
    name: fields.text('name'),
    kind: fields.text('kind'),
    version: fields.count('version'),
    encoding: fields.text('encoding'),
    length,
    extents: extents(fields, length, bases),
    buffers: uses,
    ...optional,
  };
}

function dropped(fields: Fields): DroppedValues {
  const first = fields.maps('first').map((place) => ({ path: place.text('path'), what: place.text('what') }));
  const count = fields.count('count');
  if (first.length > count) throw fields.wrong('count', 'no fewer than there are places');
  return { count, first };
}

function numbers(fields: Fields, length: number): number[] {
  const expected = `as many ascending counts below ${MAX_NUMBER} as there are buffers`;
  const list = ascending(fields, 'numbers', expected, (number) => number < MAX_NUMBER);
  if (list.length !== length) throw fields.wrong('numbers', expected);
  return list;
}

function ascending(fields: Fields, key: string, expected: string, fits: (value: number) => boolean): number[] {
  let before = -1;
  return fields.list(key).map((value) => {
    if (!isCount(value) || value <= before || !fits(value)) throw fields.wrong(key, expected);
    before = value;
    return value;
  });
}

function refuseTwice(manifest: Manifest, fail: (found: string) => Error): void {
  const { image, members, sections, buffers, files, bases } = manifest;
  const lists: readonly (readonly [string, readonly string[]])[] = [
    ['name of the image', image.names],
    ['member', members.map((record) => record.name)],
    ['section', sections.map((record) => JSON.stringify([record.member, record.name]))],
    ['file', files.map((record) => JSON.stringify([record.member, record.name]))],
    ['source of pages', buffers.flatMap(({ pages }) => pages?.sources ?? []).map(({ base, buffer }) => `${base}/${buffer}`)],
    ['base', [image.id, ...bases.map((record) => record.id)]],
  ];
  for (const [what, names] of lists) {
    const seen = new Set<string>();
    for (const name of names) {
      if (seen.has(name)) throw fail(`the ${what} ${name} is there twice`);
      seen.add(name);
    }
  }
}
