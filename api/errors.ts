// errors.ts
//
// Every failure that a client sees is a Kubernetes Status. One class carries it on both sides of the wire; the table
// below ties reason to HTTP code.
// https://github.com/kubernetes/apimachinery/blob/master/pkg/apis/meta/v1/types.go (StatusReason, CauseType)

export const statusCodes = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Gone: 410,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  TooManyRequests: 429,
  InternalError: 500,
  ServiceUnavailable: 503,
  Timeout: 504,
} as const;
export type StatusReason = keyof typeof statusCodes;

export type CauseReason =
  | 'FieldValueRequired'
  | 'FieldValueInvalid'
  | 'FieldValueNotSupported'
  | 'FieldValueForbidden'
  | 'FieldValueDuplicate'
  | 'FieldValueTooLong'
  | 'FieldValueTooMany'
  | 'FieldValueTypeInvalid'
  | 'FieldValueUnknown'
  | 'FieldManagerConflict'
  | 'UnexpectedServerResponse';

export interface StatusCause {
  reason?: string;
  message?: string;
  field?: string;
}

export interface StatusDetails {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: StatusCause[];
  retryAfterSeconds?: number;
}

export interface Status {
  kind: 'Status';
  apiVersion: 'v1';
  /** `continue`: with what token a paged list that has expired can go on all the same. */
  metadata: { continue?: string };
  status: 'Success' | 'Failure';
  message?: string;
  reason?: string;
  details?: StatusDetails;
  code: number;
}

/** What one field of an object has wrong, and how to mend it. */
export interface FieldProblem {
  /** Path as Kubernetes writes it: `spec.env[0].name`, `metadata.labels[a/b]`. */
  field: string;
  reason: CauseReason;
  /** Complete, with the offending value where that helps: `Invalid value: "x": must be …`. */
  message: string;
  /** Whether the value is of another type than the field, or text that does not say such a value. */
  undecodable?: true;
}

/** Which resource an error is about. `group` is empty for the core group. */
export interface ResourceName {
  group: string;
  plural: string;
  kind: string;
}

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly reason: StatusReason;
  readonly code: number;
  readonly details: StatusDetails | undefined;
  readonly #continue: string | undefined;

  constructor(reason: StatusReason, message: string, details?: StatusDetails, options?: ErrorOptions & { code?: number; continue?: string }) {
    super(message, options);
    this.#continue = options?.continue;
    this.reason = reason;
    this.code = options?.code ?? statusCodes[reason];
    this.details = details;
  }

  toStatus(): Status {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: this.#continue === undefined ? {} : { continue: this.#continue },
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(this.details ? { details: this.details } : {}),
      code: this.code,
    };
  }

  /** The error that a Status describes; unknown reasons become the one that fits the code. */
  static fromStatus(status: Partial<Status>, httpCode: number): ApiError {
    const code = status.code ?? httpCode;
    const byCode = (Object.keys(statusCodes) as StatusReason[]).find((reason) => statusCodes[reason] === code);
    const reason = isStatusReason(status.reason) ? status.reason : (byCode ?? 'InternalError');
    return new ApiError(reason, status.message ?? `the server answered ${code}`, status.details, { code });
  }
}

export function isStatusReason(reason: unknown): reason is StatusReason {
  return typeof reason === 'string' && Object.hasOwn(statusCodes, reason);
}

/** `tasks.taskplane.dev`, `nodes`. */
export function qualifiedPlural(resource: ResourceName): string {
  return resource.group ? `${resource.plural}.${resource.group}` : resource.plural;
}

export function notFound(resource: ResourceName, name: string): ApiError {
  return new ApiError('NotFound', `${qualifiedPlural(resource)} "${name}" not found`, detailsOf(resource, name));
}

export function alreadyExists(resource: ResourceName, name: string): ApiError {
  return new ApiError('AlreadyExists', `${qualifiedPlural(resource)} "${name}" already exists`, detailsOf(resource, name));
}

/** Every name that the server made was taken: the client may try again. */
export function generatedNameTaken(resource: ResourceName, name: string): ApiError {
  const message = `${qualifiedPlural(resource)} "${name}" already exists, the server was not able to generate a unique name for the object`;
  return new ApiError('AlreadyExists', message, { ...detailsOf(resource, name), retryAfterSeconds: 1 });
}

export function conflict(resource: ResourceName, name: string, why: string): ApiError {
  const message = `Operation cannot be fulfilled on ${qualifiedPlural(resource)} "${name}": ${why}`;
  return new ApiError('Conflict', message, detailsOf(resource, name));
}

export const modifiedMessage = 'the object has been modified; please apply your changes to the latest version and try again';

/** Nobody reads more of them, and a hundred thousand would take seconds to write. */
export const problemsShownMax = 100;

/** All problems of one object at once, as far as anybody reads them. */
export function invalid(resource: ResourceName, name: string, all: readonly FieldProblem[]): ApiError {
  const problems = all.slice(0, problemsShownMax);
  const texts = problems.map((problem) => `${problem.field}: ${problem.message}`);
  if (problems.length < all.length) texts.push('and more');
  const qualified = resource.group ? `${resource.kind}.${resource.group}` : resource.kind;
  return new ApiError(
    'Invalid',
    `${qualified} "${name}" is invalid: ${texts.length === 1 ? texts[0]! : `[${texts.join(', ')}]`}`,
    {
      name,
      ...(resource.group ? { group: resource.group } : {}),
      kind: resource.kind,
      causes: problems.map(({ field, reason, message }) => ({ reason, message, field })),
    },
  );
}

export function badRequest(message: string): ApiError {
  return new ApiError('BadRequest', message);
}

export function forbidden(resource: ResourceName | undefined, name: string, message: string): ApiError {
  const subject = resource ? `${qualifiedPlural(resource)}${name ? ` "${name}"` : ''} is forbidden: ` : 'forbidden: ';
  return new ApiError('Forbidden', `${subject}${message}`, resource ? detailsOf(resource, name) : undefined);
}

export function unauthorized(message = 'Unauthorized'): ApiError {
  return new ApiError('Unauthorized', message);
}

/** @param token a paged list can go on with it, if its client can do with a list that is not of one moment */
export function expired(message: string, token?: string): ApiError {
  return new ApiError('Expired', message, undefined, token === undefined ? {} : { continue: token });
}

export function isReason(error: unknown, ...reasons: StatusReason[]): error is ApiError {
  return error instanceof ApiError && reasons.includes(error.reason);
}

function detailsOf(resource: ResourceName, name: string): StatusDetails {
  return { name, ...(resource.group ? { group: resource.group } : {}), kind: resource.plural };
}

// Makers of field problems, in the words of Kubernetes' field.Error.

export function required(field: string, help?: string): FieldProblem {
  return { field, reason: 'FieldValueRequired', message: help ? `Required value: ${help}` : 'Required value' };
}

export function invalidValue(field: string, value: unknown, help: string): FieldProblem {
  return { field, reason: 'FieldValueInvalid', message: `Invalid value: ${show(value)}: ${help}` };
}

export function notSupported(field: string, value: unknown, supported: readonly string[]): FieldProblem {
  const list = supported.map((item) => JSON.stringify(item)).join(', ');
  return { field, reason: 'FieldValueNotSupported', message: `Unsupported value: ${show(value)}: supported values: ${list}` };
}

export function forbiddenField(field: string, help: string): FieldProblem {
  return { field, reason: 'FieldValueForbidden', message: `Forbidden: ${help}` };
}

export function duplicate(field: string, value: unknown): FieldProblem {
  return { field, reason: 'FieldValueDuplicate', message: `Duplicate value: ${show(value)}` };
}

const shownLengthMax = 200;

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'null';
  return text.length > shownLengthMax ? `${text.slice(0, shownLengthMax)}…` : text;
}
