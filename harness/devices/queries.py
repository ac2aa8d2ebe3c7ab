"""The GraphQL that phones send; one document per kind of op."""

from __future__ import annotations

REGISTER = """mutation($accountKey:String!,$deviceKey:String!,$name:String!,$timeZone:String!){
 registerDevice(accountKey:$accountKey,deviceKey:$deviceKey,name:$name,timeZone:$timeZone){userId deviceId token}}"""

START_IMPORT = """mutation($key:String!,$type:String!,$from:String,$to:String,$count:Int!){
 startImport(idempotencyKey:$key,type:$type,startingAnchor:$from,newAnchor:$to,chunkCount:$count){
  batchId status uploadedIndexes}}"""

UPLOAD_CHUNK = """mutation($batch:ID!,$index:Int!,$digest:String!,$samples:String!){
 uploadChunk(batchId:$batch,index:$index,digest:$digest,samples:$samples){batchId index receivedCount batchStatus}}"""

PROGRESS = """query($batch:ID!){importProgress(batchId:$batch){
  batchId status chunkCount uploadedCount doneCount failedCount
  importedSamples duplicateSamples rejectedSamples failedChunks}}"""

AGGREGATES = """query($type:String!,$from:Date!,$to:Date!){aggregates(type:$type,fromDay:$from,toDay:$to){
  day total mean minimum maximum sampleCount}}"""

ANCHORS = """query{anchors{type value}}"""

ANCHOR = """query($type:String!){anchor(type:$type)}"""

REQUEST_CODE = """mutation{requestVerificationCode{code expiresInS}}"""

VERIFY_CODE = """mutation($code:String!){verifyCode(code:$code){ok}}"""

CREATE_REMINDER = """mutation($key:String!,$text:String!,$due:DateTime!){
 createReminder(key:$key,text:$text,dueAt:$due){reminderId}}"""

REDRIVE = """mutation($kind:RedriveKind!,$target:ID!){redrive(kind:$kind,target:$target){redrivenCount}}"""
